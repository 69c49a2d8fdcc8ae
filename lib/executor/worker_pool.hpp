// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The executor of a manager: a fixed number of threads, one queue, first in first out.
///
///     submit ──► queue of jobs (intrusive) ──► worker: run(), post to the job's home, next job
///          └──► one hand-out per worker that is at rest, never more than there are jobs
///
/// A worker that is awake goes on until the queue is empty, so a busy pool costs no wake-ups at
/// all, and submitting costs no memory: jobs are linked, and each worker's hand-out has a place
/// of its own.

#include <cstdint>
#include <memory>
#include <span>

#include "uffdmm/executor.hpp"

namespace uffdmm {

class worker_pool final : public executor {
  public:
    static constexpr unsigned most_workers = 64;

    /// `workers`: 1 to 64 threads, named "uffdmm-worker", with all signals blocked. Throws
    /// setup_error.
    explicit worker_pool(unsigned workers);
    /// Finishes every submitted job. Nobody may submit any more; the jobs' homes still exist.
    ~worker_pool() override;

    /// Any thread. Allocates nothing.
    void submit(std::span<job* const> jobs) noexcept override;

    /// Any thread: the numbers (gettid) of its threads, as long as it lives.
    [[nodiscard]] std::span<const std::uint32_t> threads() const noexcept;

  private:
    class state;
    std::unique_ptr<state> state_;
};

} // namespace uffdmm
