// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Signals belong to the embedder, whose handlers may touch guest memory, which would wait for the
/// library's threads: so those take none.

#include <csignal>

#include <pthread.h>

namespace uffdmm {

/// Blocks all signals in this thread, and so in threads it starts, until the end of the scope.
class signals_blocked {
  public:
    signals_blocked() noexcept {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    signals_blocked(const signals_blocked&) = delete;
    signals_blocked& operator=(const signals_blocked&) = delete;
    ~signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_{};
};

} // namespace uffdmm
