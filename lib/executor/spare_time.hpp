// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The executor of one shard: what its own thread has time for is done there, the rest by the
/// workers that all shards share.
///
///     submit ──► kept ──► use(): a part a round, while there is nothing else to do
///        │         └────► too slow, or no more faults: hand_over() ─┐
///        └─ no faults, large parts, or too slow lately ─────────────┴──► workers
///
/// Between two faults of a thread lies the time in which it wakes, and a shard thread that waits
/// for the next one may as well compress. A worker would have to be woken, and where CPUs are few
/// it runs on the one that the faulting thread is about to wake on, for a whole time slice. Where
/// the shard thread has no time, because many threads fault or windows are large, its jobs do not
/// get on, and the workers do them; so they do while there are no faults to be quick for, and where
/// reclaim is what the guest waits for: two CPUs compress faster than one.

#include <cstddef>
#include <cstdint>
#include <span>

#include "uffdmm/executor.hpp"

namespace uffdmm {

/// Shard thread only.
class spare_time final : public executor {
  public:
    /// How long a job may take from the round in which it is the oldest.
    static constexpr std::uint64_t patience_ns = 2'000'000;
    /// Jobs that the workers get after one was too slow.
    static constexpr std::size_t busy_jobs = 64;

    explicit spare_time(executor& workers) : workers_(workers) {}
    spare_time(const spare_time&) = delete;
    spare_time& operator=(const spare_time&) = delete;
    ~spare_time() override { hand_over(); }

    void submit(std::span<job* const> jobs) noexcept override;

    /// What a round of the shard was like.
    struct round {
        bool serving = false; ///< faults come
        bool outrun = false;  ///< memory is used up faster than it is reclaimed
        bool idle = false;    ///< there is nothing else to do
        std::uint64_t began_ns = 0;
    };
    /// After every round. Returns whether there may be more to do, so that the thread must not
    /// sleep.
    bool use(const round& last) noexcept;

    /// Gives what is kept to the workers.
    void hand_over() noexcept;

  private:
    void run_part() noexcept;

    executor& workers_;
    job_queue kept_;
    std::uint64_t started_ns_ = 0; ///< when the oldest was first looked at; 0: not yet
    std::size_t busy_ = 0;         ///< jobs that go to the workers without being tried here
    bool keeps_ = false;
};

} // namespace uffdmm
