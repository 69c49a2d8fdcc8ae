// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Holds a mutex of a kind that can be used before constructors have run, and across fork.

#include <pthread.h>

namespace preload {

class pthread_lock {
  public:
    explicit pthread_lock(pthread_mutex_t& mutex) noexcept : mutex_(mutex) {
        ::pthread_mutex_lock(&mutex_);
    }
    ~pthread_lock() { ::pthread_mutex_unlock(&mutex_); }
    pthread_lock(const pthread_lock&) = delete;
    pthread_lock& operator=(const pthread_lock&) = delete;

  private:
    pthread_mutex_t& mutex_;
};

} // namespace preload
