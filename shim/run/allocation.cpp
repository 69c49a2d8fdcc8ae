// SPDX-License-Identifier: BSD-3-Clause

/// The intercepted malloc family: the library's threads have a heap of their own, blocks from the
/// threshold on are mappings of their own, everything else is the program's allocator's.

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <malloc.h>

#include "run/inside.hpp"
#include "run/large_blocks.hpp"
#include "run/managed_space.hpp"
#include "run/next_functions.hpp"
#include "run/private_heap.hpp"

namespace {

using namespace preload;

/// Where a block is made that the program's allocator does not make; nullptr: it makes it.
void* made_here(std::size_t bytes, std::size_t alignment) noexcept {
    if (inside)
        return private_heap::allocate(bytes, alignment);
    return large_blocks::wanted(bytes) ? large_blocks::make(bytes, alignment) : nullptr;
}

/// Bytes of a block that is not the program's allocator's, else 0.
std::size_t bytes_here(void* block) noexcept {
    return private_heap::owns(block) ? private_heap::usable_bytes(block)
                                     : large_blocks::size_of(block);
}

/// Sizes that realloc keeps in place: growing or not, half of the block is in use.
bool fits(std::size_t bytes, std::size_t available) noexcept {
    return bytes <= available && bytes >= available / 2;
}

} // namespace

#define INTERCEPTED extern "C" __attribute__((visibility("default")))

INTERCEPTED void* malloc(std::size_t bytes) noexcept {
    void* const block = made_here(bytes, 16);
    return block != nullptr || inside ? block : next().malloc(bytes);
}

INTERCEPTED void free(void* block) noexcept {
    if (block == nullptr)
        return;
    if (private_heap::owns(block))
        private_heap::release(block);
    else if (!large_blocks::end(block))
        next().free(block);
}

INTERCEPTED void* calloc(std::size_t count, std::size_t size) noexcept {
    std::size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return nullptr;
    }
    void* const block = made_here(bytes, 16);
    if (block == nullptr)
        return inside ? nullptr : next().calloc(count, size);
    return inside ? std::memset(block, 0, bytes) : block;
}

INTERCEPTED void* realloc(void* block, std::size_t bytes) noexcept {
    if (block == nullptr)
        return malloc(bytes);
    const std::size_t here = bytes_here(block);
    if (here == 0 && (inside || !large_blocks::wanted(bytes)))
        return next().realloc(block, bytes);
    if (bytes == 0) {
        free(block);
        return nullptr;
    }
    if (here != 0 && fits(bytes, here))
        return block;
    void* const other = malloc(bytes);
    if (other == nullptr)
        return nullptr;
    const std::size_t held = here != 0 ? here : next().malloc_usable_size(block);
    std::memcpy(other, block, std::min(bytes, held));
    free(block);
    return other;
}

INTERCEPTED void* reallocarray(void* block, std::size_t count, std::size_t size) noexcept {
    std::size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return nullptr;
    }
    return realloc(block, bytes);
}

INTERCEPTED void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
    void* const block = made_here(bytes, alignment);
    return block != nullptr || inside ? block : next().memalign(alignment, bytes);
}

INTERCEPTED void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
    void* const block = made_here(bytes, alignment);
    return block != nullptr || inside ? block : next().aligned_alloc(alignment, bytes);
}

INTERCEPTED int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) noexcept {
    if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0)
        return EINVAL;
    void* const made = made_here(bytes, alignment);
    if (made == nullptr)
        return inside ? ENOMEM : next().posix_memalign(block, alignment, bytes);
    *block = made;
    return 0;
}

INTERCEPTED void* valloc(std::size_t bytes) noexcept {
    return memalign(page, bytes);
}

INTERCEPTED void* pvalloc(std::size_t bytes) noexcept {
    return memalign(page, whole_pages(bytes));
}

INTERCEPTED std::size_t malloc_usable_size(void* block) noexcept {
    if (block == nullptr)
        return 0;
    const std::size_t here = bytes_here(block);
    return here != 0 ? here : next().malloc_usable_size(block);
}
