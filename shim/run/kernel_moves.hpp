// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What follows from UFFDIO_MOVE (Linux 6.8): the kernel keeps pages in place that it has pinned
/// for direct I/O, and tells the library of discards by events.

namespace preload {

/// Whether this kernel has it. Asks once. True where nothing can be managed. Any thread.
[[nodiscard]] bool kernel_moves_pages() noexcept;

} // namespace preload
