// SPDX-License-Identifier: BSD-3-Clause
#include "run/next_functions.hpp"

#include <atomic>
#include <cstring>

#include <dlfcn.h>

#include "run/find_next.hpp"
#include "run/inside.hpp"

namespace preload {

constinit thread_local bool inside = false;

namespace {

constinit next_functions found{};
constinit std::atomic<bool> ready{false};

/// Whether the C library defines the function.
bool is_of_c_library(void* (*function)(std::size_t)) noexcept {
    Dl_info of_function{};
    Dl_info of_library{};
    void* address = nullptr;
    std::memcpy(&address, &function, sizeof address);
    void* const other = ::dlsym(RTLD_NEXT, "getpid");
    return ::dladdr(address, &of_function) != 0 && ::dladdr(other, &of_library) != 0 &&
           of_function.dli_fbase == of_library.dli_fbase;
}

/// dlsym may allocate: it gets memory of the library, being `inside`.
void find_all() noexcept {
    const inside_scope library;
    find_next(found.malloc, "malloc");
    find_next(found.free, "free");
    find_next(found.calloc, "calloc");
    find_next(found.realloc, "realloc");
    find_next(found.memalign, "memalign");
    find_next(found.posix_memalign, "posix_memalign");
    find_next(found.aligned_alloc, "aligned_alloc");
    find_next(found.malloc_usable_size, "malloc_usable_size");
    find_next(found.pthread_create, "pthread_create");
    find_next(found.posix_fallocate, "posix_fallocate");
    found.maps_unseen = is_of_c_library(found.malloc);
}

} // namespace

/// Two threads may both find them, and write the same.
const next_functions& next() noexcept {
    if (!ready.load(std::memory_order_acquire)) {
        find_all();
        ready.store(true, std::memory_order_release);
    }
    return found;
}

} // namespace preload
