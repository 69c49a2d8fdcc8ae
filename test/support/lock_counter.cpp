// SPDX-License-Identifier: BSD-3-Clause
#include "support/lock_counter.hpp"

#include <dlfcn.h>
#include <pthread.h>

#include "support/sanitizers.hpp"

namespace {
thread_local std::uint64_t locks = 0;
}

namespace uffdmm::test {
std::uint64_t locks_of_this_thread() noexcept {
    return locks;
}
bool locks_are_counted() noexcept {
    return UFFDMM_UNDER_SANITIZER == 0;
}
} // namespace uffdmm::test

#if !UFFDMM_UNDER_SANITIZER

namespace {

template <typename Lock>
int count_and_call(const char* name, int (*volatile& real)(Lock*), Lock* lock) {
    ++locks;
    if (real == nullptr) // resolved by whoever is first; all find the same
        real = reinterpret_cast<int (*)(Lock*)>(::dlsym(RTLD_NEXT, name));
    return real(lock);
}

int (*volatile real_mutex_lock)(pthread_mutex_t*);
int (*volatile real_mutex_trylock)(pthread_mutex_t*);
int (*volatile real_rwlock_rdlock)(pthread_rwlock_t*);
int (*volatile real_rwlock_wrlock)(pthread_rwlock_t*);

} // namespace

extern "C" {
int pthread_mutex_lock(pthread_mutex_t* lock) noexcept {
    return count_and_call("pthread_mutex_lock", real_mutex_lock, lock);
}
int pthread_mutex_trylock(pthread_mutex_t* lock) noexcept {
    return count_and_call("pthread_mutex_trylock", real_mutex_trylock, lock);
}
int pthread_rwlock_rdlock(pthread_rwlock_t* lock) noexcept {
    return count_and_call("pthread_rwlock_rdlock", real_rwlock_rdlock, lock);
}
int pthread_rwlock_wrlock(pthread_rwlock_t* lock) noexcept {
    return count_and_call("pthread_rwlock_wrlock", real_rwlock_wrlock, lock);
}
}

#endif
