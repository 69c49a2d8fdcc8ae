// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The functions that would be called if the library were not there: the program's own allocator
/// (which need not be the C library's), and pthread_create.

#include <cstddef>

#include <pthread.h>
#include <sys/types.h>

namespace preload {

struct next_functions {
    void* (*malloc)(std::size_t);
    void (*free)(void*);
    void* (*calloc)(std::size_t, std::size_t);
    void* (*realloc)(void*, std::size_t);
    void* (*memalign)(std::size_t, std::size_t);
    int (*posix_memalign)(void**, std::size_t, std::size_t);
    void* (*aligned_alloc)(std::size_t, std::size_t);
    std::size_t (*malloc_usable_size)(void*);
    int (*pthread_create)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    int (*posix_fallocate)(int, off_t, off_t);
    /// The allocator maps its memory by functions that are not intercepted, as the C library's
    /// does.
    bool maps_unseen;
};

/// Found at the first call. Any thread.
[[nodiscard]] const next_functions& next() noexcept;

} // namespace preload
