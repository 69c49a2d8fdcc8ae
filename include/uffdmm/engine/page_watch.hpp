// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A window of up to 64 pages that a migration has just looked at. Until the next look
///   - each of its pages that comes into the guest, or goes out of it, is marked, before it can be
///     accessed: what was said of an unmarked page is still true, so it may be used without asking
///     again, however late;
///   - its resident pages are passed over by reclaim, so that reading them in the guest does not
///     bring in what has just left.
///
/// Why a mark is in time: the shard sets it before the system call that maps the page; a guest
/// write comes after that call, and the dirty log has the write from then on. Whoever clears a
/// page's bit in the dirty log and then finds the page unmarked knows that no write is missing from
/// what was said of it: a write logged before the bit was cleared would have come after its mark.

#include <atomic>
#include <cstdint>

#include "uffdmm/check.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Written by the shard thread; changed() may be called by any thread.
class page_watch {
  public:
    static constexpr page_count most = 64;

    /// Shard thread. `run`: at most 64 pages.
    void begin(page_run run) {
        UFFDMM_CHECK(run.count <= most, "a watched window fits its mask");
        run_ = run;
        changed_.store(0, std::memory_order_seq_cst);
    }
    /// Shard thread. Nothing said before is taken for true after this.
    void end() {
        run_ = {};
        changed_.store(~std::uint64_t{0}, std::memory_order_seq_cst);
    }

    /// Shard thread: the page is looked at now, so what happened before does not matter.
    void looked(page_index page) {
        if (covers(page))
            changed_.fetch_and(~bit_of(page), std::memory_order_seq_cst);
    }
    /// Shard thread: the page changes, or is about to.
    void changes(page_index page) {
        if (covers(page))
            changed_.fetch_or(bit_of(page), std::memory_order_seq_cst);
    }
    void changes(page_run run) {
        if (run_.count == 0 || run.first >= run_.end() || run_.first >= run.end())
            return;
        for (page_index page = run.first; page < run.end(); page = page + 1)
            changes(page);
    }
    /// Shard thread.
    [[nodiscard]] bool covers(page_index page) const {
        return page.value - run_.first.value < run_.count; // wraps for those below
    }

    /// Any thread: a bit for each page that has changed, the first page's the lowest.
    /// seq_cst: ordered with the caller's clearing of the dirty log, see above.
    [[nodiscard]] std::uint64_t changed() const { return changed_.load(std::memory_order_seq_cst); }

  private:
    [[nodiscard]] std::uint64_t bit_of(page_index page) const {
        return std::uint64_t{1} << (page - run_.first);
    }

    page_run run_;
    std::atomic<std::uint64_t> changed_{~std::uint64_t{0}};
};

} // namespace uffdmm
