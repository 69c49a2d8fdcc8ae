// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Gives the blocks of free slots of a file back on a worker: punching a hole takes the file's
/// lock, waits for I/O under way and writes the journal, milliseconds that a fault must not wait.
///
///                start()            worker              mailbox
///     idle ─────────────► queued ───────────► running ─────────► idle
///                           │ cancel()                   (orphan: deletes itself)
///                           ▼
///                        cancelled ──────────────────────────────┘

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "tier/file/slot_store.hpp"
#include "tier/file/trimmer.hpp"
#include "uffdmm/check.hpp"
#include "uffdmm/executor.hpp"

namespace uffdmm {

/// Owner: a file tier, until it calls abandon(). All but run() on its thread.
class trim_job final : public job {
  public:
    trim_job(slot_store& store, mailbox& home, trim_listener& listener)
        : job(home), store_(store), listener_(&listener) {}
    ~trim_job() = default;

    [[nodiscard]] bool busy() const noexcept { return busy_; }

    void start(slot_run run, executor& workers) noexcept {
        run_ = run;
        busy_ = true;
        state_.store(state::queued, std::memory_order_relaxed); // submit() publishes it
        job* const jobs[] = {this};
        workers.submit(jobs);
    }

    /// The owner goes away. Afterwards no discard is under way and none will start; a job that is
    /// busy deletes itself when its mail is delivered.
    static void abandon(std::unique_ptr<trim_job> job) noexcept {
        if (!job->busy_)
            return;
        job->listener_ = nullptr;
        state was = state::queued;
        // Whoever changes `queued` first, this or run(), decides. Acquire pairs with run()'s end.
        if (!job->state_.compare_exchange_strong(was, state::ended, std::memory_order_acquire))
            while (was != state::ended) {
                job->state_.wait(was, std::memory_order_acquire);
                was = job->state_.load(std::memory_order_acquire);
            }
        static_cast<void>(job.release());
    }

    void run() noexcept override {
        state was = state::queued;
        if (!state_.compare_exchange_strong(was, state::running, std::memory_order_relaxed))
            return; // abandoned, and the store may be gone
        store_.discard(run_);
        state_.store(state::ended, std::memory_order_release);
        state_.notify_one();
    }

    void deliver() noexcept override {
        busy_ = false;
        if (listener_ != nullptr)
            listener_->trim_ended();
        else
            delete this;
    }

  private:
    enum class state : std::uint8_t { queued, running, ended };

    slot_store& store_;
    trim_listener* listener_;
    slot_run run_;
    bool busy_ = false;
    std::atomic<state> state_{state::ended};
};

/// Owner: a file tier; all calls from its thread.
class worker_trimmer final : public trimmer {
  public:
    worker_trimmer(slot_store& store, executor& workers, mailbox& home, trim_listener& listener)
        : workers_(workers), job_(std::make_unique<trim_job>(store, home, listener)) {}
    ~worker_trimmer() override { trim_job::abandon(std::move(job_)); }

    [[nodiscard]] bool busy() const noexcept override { return job_->busy(); }
    void start(slot_run run) noexcept override { job_->start(run, workers_); }

  private:
    executor& workers_;
    std::unique_ptr<trim_job> job_;
};

} // namespace uffdmm
