// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// std::mutex and a lock of it that clang's thread-safety analysis understands. Never taken on the
/// fault path.

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "uffdmm/detail/thread_annotations.hpp"

namespace uffdmm {

class UFFDMM_CAPABILITY("mutex") mutex {
  public:
    mutex() = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;

    void lock() UFFDMM_ACQUIRE() { inner_.lock(); }
    void unlock() UFFDMM_RELEASE() { inner_.unlock(); }
    [[nodiscard]] bool try_lock() UFFDMM_TRY_ACQUIRE(true) { return inner_.try_lock(); }

  private:
    friend class mutex_lock;
    std::mutex inner_;
};

/// Holds a mutex for its scope. wait() has no form with a predicate, because the analysis does not
/// look from a lambda to the lock around it: write `while (!ready_) lock.wait(changed_);`.
class UFFDMM_SCOPED_CAPABILITY mutex_lock {
  public:
    explicit mutex_lock(mutex& m) UFFDMM_ACQUIRE(m) : inner_(m.inner_) {}
    ~mutex_lock() UFFDMM_RELEASE() = default;
    mutex_lock(const mutex_lock&) = delete;
    mutex_lock& operator=(const mutex_lock&) = delete;

    /// For a stretch without the lock inside the scope.
    void unlock() UFFDMM_RELEASE() { inner_.unlock(); }
    void lock() UFFDMM_ACQUIRE() { inner_.lock(); }

    /// Gives the mutex up while it waits. May return for no reason.
    void wait(std::condition_variable& changed) { changed.wait(inner_); }
    /// The same until a point in time; returns false when that has come.
    template <class Clock, class Duration>
    bool wait_until(std::condition_variable& changed,
                    const std::chrono::time_point<Clock, Duration>& end) {
        return changed.wait_until(inner_, end) == std::cv_status::no_timeout;
    }

  private:
    std::unique_lock<std::mutex> inner_;
};

} // namespace uffdmm
