// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Migration by locations of a QEMU that knows nothing of it: a section of our own in its stream,
/// and hints that take pages out of the one it has for RAM.

namespace preload::qemu {

/// Before the program's main().
void migrate_by_locations() noexcept;
/// Whether the program is one that will be asked what it can do.
[[nodiscard]] bool expected() noexcept;

} // namespace preload::qemu
