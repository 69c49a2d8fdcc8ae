// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Work that must not hold a shard's faults up, and the way back to its thread.
///
///     shard thread ── submit(jobs) ──► executor ── job::run() elsewhere ──► home.post(job)
///     shard thread ◄─ job::deliver() ◄─ mailbox::drain()

#include <atomic>
#include <cstddef>
#include <span>

#include "uffdmm/export.hpp"

namespace uffdmm {

class mailbox;

/// Something a shard handles on its own thread. Owned by its sender; must live until deliver() is
/// called, which may destroy or reuse it.
class UFFDMM_CXX_API message {
  public:
    /// Shard thread only.
    virtual void deliver() noexcept = 0;

  protected:
    message() = default;
    message(const message&) = default;
    message& operator=(const message&) = default;
    ~message() = default;

  private:
    friend class mailbox;
    message* next_ = nullptr;
};

/// Wakes a sleeping owner of a mailbox.
class UFFDMM_CXX_API waker {
  public:
    virtual void wake() noexcept = 0; ///< any thread

  protected:
    ~waker() = default;
};

/// Unbounded lock-free queue: many senders, one owner. Order of one sender is kept.
class mailbox {
  public:
    explicit mailbox(waker& owner) : owner_(owner) {}
    mailbox(const mailbox&) = delete;
    mailbox& operator=(const mailbox&) = delete;

    /// Any thread. Wakes the owner only if it said it sleeps.
    void post(message& m) noexcept {
        message* head = head_.load(std::memory_order_relaxed);
        do {
            m.next_ = head;
            // release: pairs with the acquire exchange in drain(); seq_cst with announce_sleep().
        } while (!head_.compare_exchange_weak(head, &m, std::memory_order_seq_cst,
                                              std::memory_order_relaxed));
        if (sleeping_.load(std::memory_order_seq_cst) &&
            sleeping_.exchange(false, std::memory_order_seq_cst))
            owner_.wake();
    }

    /// Owner only. Delivers everything posted so far, oldest first; returns how many.
    std::size_t drain() noexcept {
        message* m = head_.exchange(nullptr, std::memory_order_acquire);
        message* oldest = nullptr;
        while (m) {
            message* next = m->next_;
            m->next_ = oldest;
            oldest = m;
            m = next;
        }
        std::size_t delivered = 0;
        while (oldest) {
            message* next = oldest->next_;
            oldest->deliver();
            oldest = next;
            ++delivered;
        }
        return delivered;
    }

    /// Owner only. Call before sleeping; returns false if there is mail already (do not sleep).
    [[nodiscard]] bool announce_sleep() noexcept {
        sleeping_.store(true, std::memory_order_seq_cst);
        if (head_.load(std::memory_order_seq_cst) == nullptr)
            return true;
        sleeping_.store(false, std::memory_order_relaxed);
        return false;
    }
    /// Owner only. Call after waking.
    void announce_awake() noexcept { sleeping_.store(false, std::memory_order_relaxed); }
    [[nodiscard]] bool empty() const noexcept {
        return head_.load(std::memory_order_relaxed) == nullptr;
    }

    /// Owner only: jobs of this mailbox are with an executor, which will post them. The mailbox
    /// must live until there are none; drain() then delivers the last of them.
    [[nodiscard]] bool expects_jobs() const noexcept {
        // acquire: pairs with the release in job_posted(), after which the executor is done with
        // us.
        return jobs_.load(std::memory_order_acquire) != 0;
    }

  private:
    friend class executor;
    void job_submitted() noexcept { jobs_.fetch_add(1, std::memory_order_relaxed); }
    void job_posted() noexcept { jobs_.fetch_sub(1, std::memory_order_release); }

    std::atomic<message*> head_{nullptr};
    std::atomic<bool> sleeping_{false};
    std::atomic<std::size_t> jobs_{0};
    waker& owner_;
};

/// Work with two halves: run() on a worker, deliver() back on the shard thread.
class UFFDMM_CXX_API job : public message {
  public:
    explicit job(mailbox& home) : home_(&home) {}
    virtual void run() noexcept = 0; ///< any one thread; what run_part() has not done yet
    /// Instead of run(), where has_small_parts(): the next part of it, which takes a few
    /// microseconds. Any one thread at a time; returns whether that was the last part.
    virtual bool run_part() noexcept {
        run();
        return true;
    }
    [[nodiscard]] virtual bool has_small_parts() const noexcept { return false; }
    [[nodiscard]] mailbox& home() const noexcept { return *home_; }

  protected:
    ~job() = default;

  private:
    friend class executor;
    friend class job_queue;
    mailbox* home_;
    job* next_job_ = nullptr; ///< in the queue of the executor that holds it
};

/// First in, first out; needs no memory of its own. A job is in one at most.
class job_queue {
  public:
    [[nodiscard]] bool empty() const noexcept { return oldest_ == nullptr; }
    /// Not to be called when empty, like pop().
    [[nodiscard]] job& oldest() const noexcept { return *oldest_; }
    void push(job& j) noexcept {
        j.next_job_ = nullptr;
        (oldest_ == nullptr ? oldest_ : newest_->next_job_) = &j;
        newest_ = &j;
    }
    job& pop() noexcept {
        job& j = *oldest_;
        oldest_ = j.next_job_;
        return j;
    }

  private:
    job* oldest_ = nullptr;
    job* newest_ = nullptr; ///< meaningless when empty
};

/// Runs jobs and posts each to its home when run() returns.
class UFFDMM_CXX_API executor {
  public:
    virtual ~executor() = default;
    /// Shard threads. Wakes sleeping workers at most once for the whole batch.
    virtual void submit(std::span<job* const> jobs) noexcept = 0;

  protected:
    /// Every job taken by submit() goes through accept(), and then through one of the others, on
    /// any thread.
    static void accept(job& j) noexcept { j.home_->job_submitted(); }
    static void run_and_post(job& j) noexcept {
        j.run();
        post(j);
    }
    /// The job has run.
    static void post(job& j) noexcept {
        mailbox& home = *j.home_; // the job may be gone as soon as it is posted
        home.post(j);
        home.job_posted();
    }
    /// Another executor takes the job instead.
    static void pass_to(executor& other, job& j) noexcept {
        mailbox& home = *j.home_;
        job* const list[] = {&j};
        other.submit(list);
        home.job_posted();
    }
};

} // namespace uffdmm
