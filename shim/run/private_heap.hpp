// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The library's own malloc, used on threads that are `inside`. The program's allocator may keep
/// its memory under management, so that the library must never wait for it. Blocks may be freed by
/// any thread: they are known by their address.

#include <cstddef>

namespace preload::private_heap {

/// nullptr if memory ran out. `alignment`: a power of two.
[[nodiscard]] void* allocate(std::size_t bytes, std::size_t alignment = 16) noexcept;
void release(void* block) noexcept;

[[nodiscard]] bool owns(const void* block) noexcept;
[[nodiscard]] std::size_t usable_bytes(const void* block) noexcept;

} // namespace preload::private_heap
