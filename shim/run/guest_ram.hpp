// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Takes over memory that the program made as shared or as a file's, but keeps to itself: private
/// memory is put in its place, which can be evicted whatever the kernel is doing with it (direct
/// I/O pins pages; the memory of a file would be written behind the library's back).

#include <cstddef>

#include "run/known_mappings.hpp"
#include "run/managed_space.hpp"

namespace preload {

/// The mapping, which nobody has touched, becomes managed memory, because of `why`. Its descriptor
/// is used up. Where that cannot be the process ends with a message, or runs with unmanaged memory
/// (--optional).
void take_over(managed_space& s, const mapping_request& mapping, const char* why) noexcept;

} // namespace preload
