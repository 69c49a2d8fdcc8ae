// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Direct I/O pins the program's pages while the disk reads or writes them. From Linux 6.8 on pages
/// that are pinned stay where they are (UFFDIO_MOVE respects that). Before, a page could be taken
/// out while the disk still writes to it, and what came later would be lost, so that files are not
/// opened that way there.

namespace preload {

/// Whether opening the file fails, with EINVAL, as on a file system without direct I/O.
[[nodiscard]] bool refuses_direct_io(const char* path, int flags) noexcept;

} // namespace preload
