// SPDX-License-Identifier: BSD-3-Clause
#include "support/allocation_counter.hpp"

#include <cstddef>

#include "support/sanitizers.hpp"

namespace {
thread_local std::uint64_t allocations = 0;
}

namespace uffdmm::test {
std::uint64_t allocations_of_this_thread() noexcept {
    return allocations;
}
} // namespace uffdmm::test

#if UFFDMM_UNDER_SANITIZER

// Declared here: not every compiler brings <sanitizer/allocator_interface.h>.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void*,
                                                                  std::size_t),
                                                         void (*)(const volatile void*));

namespace {
const int hooked = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, std::size_t) { ++allocations; }, [](const volatile void*) {});
}

#else

// The C library's own entry points; everything else (operator new, strdup, ...) comes through the
// functions below. free() need not be replaced.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t bytes) {
    ++allocations;
    return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
    ++allocations;
    return __libc_calloc(count, bytes);
}
void* realloc(void* old, std::size_t bytes) {
    ++allocations;
    return __libc_realloc(old, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
    ++allocations;
    return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) {
    ++allocations;
    *out = __libc_memalign(alignment, bytes);
    return *out == nullptr ? 12 : 0; // ENOMEM
}
}

#endif
