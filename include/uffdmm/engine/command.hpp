// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What the API asks of a shard: a message that carries its own progress, since long ranges are
/// worked through in slices between faults. The calling thread waits until the shard is done.

#include <array>
#include <atomic>
#include <cstdint>

#include "uffdmm/engine/page_entry.hpp"
#include "uffdmm/executor.hpp"
#include "uffdmm/residency.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

class command_queue;
struct arrival_job;
struct peek_job;

struct command final : message {
    enum class kind : std::uint8_t {
        barrier,    ///< everything read before this is dealt with
        check_pins, ///< busy if a page of the run is pinned
        discard,    ///< forget contents, and take them out of the guest
        pin,
        unpin,
        query,    ///< fills `answer` from `at` on
        peek,     ///< what the pages are, and their contents: see peek_job
        unwatch,  ///< the migration looks at no window any more
        arrive,   ///< contents from elsewhere for the pages: see arrival_job
        expect,   ///< contents of all pages, which are untouched, come later: faults wait for them
        unexpect, ///< undoes an expect that succeeded: nothing comes
        end_leases, ///< and nobody needs the locations it has named
        prefetch,
        evict,
        restore, ///< bring everything in and leave it writable
        idle,    ///< no fault waits, nothing is on its way
        settle,  ///< memory is below the limit, or cannot be brought there
        stop     ///< no more reads and writes of tiers; then the thread ends
    };
    struct run_of_state {
        page_run pages;
        residency state = residency::untouched;
        tier_number tier = 0;
    };

    command(kind to_do, page_run pages_of_shard, command_queue& queue)
        : what(to_do), run(pages_of_shard), home(queue), at(pages_of_shard.first) {}

    /// Calling thread.
    result<void> wait() {
        // acquire: pairs with the release in finish().
        done_.wait(false, std::memory_order_acquire);
        return outcome;
    }

    /// Shard thread. The command may be gone when this returns.
    void finish(result<void> how) {
        outcome = how;
        done_.store(true, std::memory_order_release);
        done_.notify_all();
    }
    void deliver() noexcept override;

    const kind what;
    const page_run run;
    command_queue& home;

    // Progress and answers: the shard's until it is done.
    page_index at; ///< next page to look at
    unsigned phase = 0;
    unsigned tries = 0;
    page_index counted = no_page; ///< evict: end of the window counted last
    page_count pages = 0;         ///< pages that left memory (evict), or are short (restore)
    result<void> outcome;
    std::array<run_of_state, 256> answer;
    std::size_t answers = 0;
    arrival_job* arrival = nullptr;         ///< arrive
    peek_job* peek = nullptr;               ///< peek
    std::uint64_t deadline_ns = UINT64_MAX; ///< idle: when to give up, monotonic clock
    command* next = nullptr;

  private:
    std::atomic<bool> done_{false};
};

/// Commands that have arrived, in order. Owner: the shard.
class command_queue {
  public:
    void push(command& c) {
        (tail_ == nullptr ? head_ : tail_->next) = &c;
        tail_ = &c;
    }
    [[nodiscard]] command* front() const { return head_; }
    void pop() {
        head_ = head_->next;
        if (head_ == nullptr)
            tail_ = nullptr;
    }
    [[nodiscard]] bool has(command::kind what) const {
        const command* c = head_;
        while (c != nullptr && c->what != what)
            c = c->next;
        return c != nullptr;
    }
    /// Lets the next command go first.
    void rotate() {
        command* first = head_;
        if (first == tail_)
            return;
        pop();
        first->next = nullptr;
        push(*first);
    }

  private:
    command* head_ = nullptr;
    command* tail_ = nullptr;
};

inline void command::deliver() noexcept {
    next = nullptr;
    home.push(*this);
}

} // namespace uffdmm
