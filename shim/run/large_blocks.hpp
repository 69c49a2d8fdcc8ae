// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Blocks of malloc that are mappings of their own, taken where the program's allocator would map
/// them unseen. They begin at a page and are known by their address.

#include <cstddef>

namespace preload::large_blocks {

/// Whether a block of this size is to be made here.
[[nodiscard]] bool wanted(std::size_t bytes) noexcept;
/// Zeros; nullptr if there is no room.
[[nodiscard]] void* make(std::size_t bytes, std::size_t alignment) noexcept;
/// Bytes of a block made here, else 0.
[[nodiscard]] std::size_t size_of(const void* block) noexcept;
/// Ends a block made here; false if it was not.
[[nodiscard]] bool end(void* block) noexcept;

} // namespace preload::large_blocks
