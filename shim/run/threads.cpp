// SPDX-License-Identifier: BSD-3-Clause

/// Threads that the library starts are `inside` from their first instruction on.

#include <new>

#include <pthread.h>

#include "run/inside.hpp"
#include "run/next_functions.hpp"

namespace {

struct start_of_thread {
    void* (*function)(void*);
    void* argument;
};

void* run_inside(void* data) {
    preload::inside = true;
    const start_of_thread start = *static_cast<start_of_thread*>(data);
    delete static_cast<start_of_thread*>(data);
    return start.function(start.argument);
}

} // namespace

extern "C" __attribute__((visibility("default"))) int pthread_create(pthread_t* thread,
                                                                     const pthread_attr_t* how,
                                                                     void* (*function)(void*),
                                                                     void* argument) noexcept {
    if (!preload::inside)
        return preload::next().pthread_create(thread, how, function, argument);
    auto* const start = new (std::nothrow) start_of_thread{function, argument};
    if (start == nullptr)
        return 12; // ENOMEM
    const int error = preload::next().pthread_create(thread, how, run_inside, start);
    if (error != 0)
        delete start;
    return error;
}
