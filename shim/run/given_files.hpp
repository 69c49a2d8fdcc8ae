// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Large files whose descriptors the program has sent to other processes: their memory is not this
/// process's alone, and is not managed.

#include <array>
#include <cstddef>

#include <pthread.h>

#include "run/backing_file.hpp"
#include "run/pthread_lock.hpp"

namespace preload {

/// Any thread. Allocates nothing. Where there are too many to remember every file counts as given.
class given_files {
  public:
    void add(const file_identity& file) noexcept {
        const pthread_lock hold(changes_);
        for (std::size_t i = 0; i < count_ && i < most; ++i)
            if (files_[i] == file)
                return;
        if (count_ < most)
            files_[count_] = file;
        ++count_;
    }

    [[nodiscard]] bool contains(const file_identity& file) const noexcept {
        const pthread_lock hold(changes_);
        if (count_ > most)
            return true;
        for (std::size_t i = 0; i < count_; ++i)
            if (files_[i] == file)
                return true;
        return false;
    }

    /// Around fork: nobody else is changing them.
    void lock() noexcept { ::pthread_mutex_lock(&changes_); }
    void unlock() noexcept { ::pthread_mutex_unlock(&changes_); }

  private:
    static constexpr std::size_t most = 256;

    std::array<file_identity, most> files_{};
    std::size_t count_ = 0;
    mutable pthread_mutex_t changes_ = PTHREAD_MUTEX_INITIALIZER;
};

} // namespace preload
