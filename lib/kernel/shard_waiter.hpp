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
    /// The timer goes on when something else ends the sleep: setting one costs several
    /// microseconds on a virtual machine, which every fault would pay while a tier works.
    void timed_sleep(mailbox& mail) noexcept;
    void sleep(mailbox& mail) noexcept;
    void drain(int fd) noexcept;

    file_descriptor epoll_;
    file_descriptor wakeups_; ///< eventfd
    file_descriptor timer_;   ///< ends timed sleeps
    adaptive_spin spin_;
    bool spinning_ = false;
    bool timer_runs_ = false;
    std::uint64_t idle_since_ns_ = 0;
    std::uint64_t budget_ns_ = 0;
    std::uint64_t sleeps_ = 0;
    std::uint64_t spins_that_paid_ = 0;
};

} // namespace uffdmm
