// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// How a shard thread waits for something to do: a fault, mail, or a tier's completion. The shard
/// looks for work itself, so spinning means returning at once and being asked again.
///
///     for (;;) { hint = shard.step(); waiter.wait(hint, mail); }

#include <chrono>
#include <cstdint>

#include "kernel/adaptive_spin.hpp"
#include "kernel/file_descriptor.hpp"
#include "uffdmm/engine/kernel.hpp"
#include "uffdmm/executor.hpp"

namespace uffdmm {

class shard_waiter final : public waker {
  public:
    /// `spin`: longest an idle thread spins before it sleeps; 0 = never. Throws setup_error.
    explicit shard_waiter(std::chrono::nanoseconds spin);
    shard_waiter(const shard_waiter&) = delete;
    shard_waiter& operator=(const shard_waiter&) = delete;
    ~shard_waiter() = default;

    /// Set-up. Sleeping ends when `fd` is readable; it must be drained by who owns it, and must
    /// live as long as this object. -1 is ignored. Throws setup_error.
    void watch(int fd);

    /// Any thread. Ends the current or the next sleep.
    void wake() noexcept override;

    /// Shard thread, after a step that returned `hint`. Returns when there may be work.
    void wait(wait_hint hint, mailbox& mail) noexcept;

    /// Shard thread, statistics: sleeps so far, and idle periods that spinning ended.
    [[nodiscard]] std::uint64_t sleeps() const noexcept { return sleeps_; }
    [[nodiscard]] std::uint64_t spins_that_paid() const noexcept { return spins_that_paid_; }

  private:
    void work_was_found() noexcept;
    [[nodiscard]] bool keep_spinning() noexcept;
    void sleep(int timeout_ms, mailbox& mail) noexcept;

    file_descriptor epoll_;
    file_descriptor wakeups_; ///< eventfd
    adaptive_spin spin_;
    bool spinning_ = false;
    std::uint64_t idle_since_ns_ = 0;
    std::uint64_t budget_ns_ = 0;
    std::uint64_t sleeps_ = 0;
    std::uint64_t spins_that_paid_ = 0;
};

} // namespace uffdmm
