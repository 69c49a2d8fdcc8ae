// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What a peek command brings with it: where the answers go, and the reads under way.

#include <array>
#include <cstddef>
#include <cstdint>

#include "uffdmm/engine/load_batch.hpp"
#include "uffdmm/engine/slot_holds.hpp"
#include "uffdmm/location.hpp"
#include "uffdmm/page_record.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

struct peek_job;

/// One page being read for a peek; load_op::batch tells it from a fault's read.
struct peek_op : load_op {
    peek_job* job = nullptr;
    page_record* record = nullptr;
    tier_number tier = 0;
    peek_op* next = nullptr; ///< while it is free
};

/// Owned by the caller, like the command that names it; the shard's until that is done.
struct peek_job {
    /// Reads under way at a time: what a guest's fault may find before it in a tier's queue.
    static constexpr std::size_t most_reads = slot_holds::most;

    peek_job() {
        for (peek_op& op : ops_) {
            op.batch = load_op::of_a_peek;
            op.job = this;
            give_back(op);
        }
    }
    peek_job(const peek_job&) = delete;
    peek_job& operator=(const peek_job&) = delete;

    page_record* records = nullptr; ///< one for each page of the command's run
    std::byte* contents = nullptr;  ///< a page for each, page-aligned, not guest memory: gets those
                                    ///< of swapped pages. nullptr: nothing is read
    location* locations = nullptr;  ///< one for each page: gets those of pages on storage that
                                    ///< other hosts see, whose slots are leased from then on.
                                    ///< nullptr: such pages are read like others
    bool watch = false;             ///< the run (at most 64 pages) becomes a watched window
    unsigned window = 0;            ///< which one
    std::size_t reading = 0;        ///< reads under way

    // Shard thread.
    [[nodiscard]] bool has_room() const { return free_ != nullptr; }
    [[nodiscard]] peek_op& take() {
        peek_op& op = *free_;
        free_ = op.next;
        ++reading;
        return op;
    }
    void end(peek_op& op) {
        --reading;
        give_back(op);
    }

  private:
    void give_back(peek_op& op) {
        op.next = free_;
        free_ = &op;
    }

    std::array<peek_op, most_reads> ops_;
    peek_op* free_ = nullptr;
};

} // namespace uffdmm
