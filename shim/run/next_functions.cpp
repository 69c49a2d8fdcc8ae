// SPDX-License-Identifier: BSD-3-Clause
#include "run/next_functions.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include <dlfcn.h>

#include "run/inside.hpp"
#include "run/tell.hpp"

namespace preload {

constinit thread_local bool inside = false;

namespace {

constinit next_functions found{};
constinit std::atomic<bool> ready{false};

template <typename Function>
void find(Function& function, const char* name) noexcept {
    void* const symbol = ::dlsym(RTLD_NEXT, name);
    if (symbol == nullptr) {
        tell("the program has no %s", name);
        std::abort();
    }
    std::memcpy(&function, &symbol, sizeof function);
}

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
    find(found.malloc, "malloc");
    find(found.free, "free");
    find(found.calloc, "calloc");
    find(found.realloc, "realloc");
    find(found.memalign, "memalign");
    find(found.posix_memalign, "posix_memalign");
    find(found.aligned_alloc, "aligned_alloc");
    find(found.malloc_usable_size, "malloc_usable_size");
    find(found.pthread_create, "pthread_create");
    find(found.posix_fallocate, "posix_fallocate");
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
