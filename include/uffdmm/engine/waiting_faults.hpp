// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Faults that cannot be answered yet, in order of arrival; one per page, since whatever answers it
/// wakes every thread that waits for the page.
///
/// How many pages may be waited for at once is not ours to know: every thread blocks on one, and
/// KVM's asynchronous page faults add up to 64 for each virtual CPU. Not reading more messages
/// would not do: the kernel hands out faults before events, and the event may be what everybody
/// waits for (remove_pending_makes_eagain). So the queue is bounded, and a fault that does not fit
/// is forgotten: once there is room again, every waiting thread of the shard is woken, and those
/// whose pages are still absent fault anew.

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "uffdmm/check.hpp"
#include "uffdmm/engine/kernel.hpp"
#include "uffdmm/engine/page_table.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// A fault to be answered.
struct fault {
    page_index page;
    kernel_message::kind what = kernel_message::kind::missing;
    bool write = false;
    std::uint64_t asked_ns = 0; ///< when it was read
    bool waited = false;        ///< the prefetcher has seen it
    bool one_pass = false;      ///< of a one-pass reader
};

/// Owner: the shard. A waiting page carries page_flag::waiting. Never allocates.
class waiting_faults {
  public:
    static constexpr std::size_t capacity = 1024;

    explicit waiting_faults(page_table& table) : table_(table) {}

    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] std::size_t size() const { return size_; }

    void push(const fault& f) {
        UFFDMM_DCHECK(!table_[f.page].has(page_flag::waiting), "a page waits once");
        if (size_ == capacity) {
            overflow_ = true;
            return;
        }
        table_[f.page].set(page_flag::waiting);
        fault& last = ring_[(first_ + size_++) % capacity];
        last = f;
        last.waited = true;
    }
    /// The one that waits longest.
    [[nodiscard]] fault pop() {
        UFFDMM_DCHECK(size_ != 0, "a fault waits");
        const fault f = ring_[first_];
        table_[f.page].clear(page_flag::waiting);
        first_ = (first_ + 1) % capacity;
        --size_;
        return f;
    }
    /// Whether faults were forgotten since the last call: wake everybody.
    [[nodiscard]] bool take_overflow() { return std::exchange(overflow_, false); }

  private:
    page_table& table_;
    std::array<fault, capacity> ring_;
    std::size_t first_ = 0;
    std::size_t size_ = 0;
    bool overflow_ = false;
};

} // namespace uffdmm
