// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Two windows of up to 64 pages that a migration has looked at: the one it is in, and the one
/// ahead of it. Until a window is looked at anew, somewhere else,
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

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

#include "uffdmm/check.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Written by the shard thread; changed() may be called by any thread.
class page_watch {
  public:
    static constexpr page_count most = 64;
    static constexpr unsigned windows = 2;

    /// Shard thread. `run`: at most 64 pages.
    void begin(unsigned number, page_run run) { windows_[number].begin(run); }
    /// Shard thread. Nothing said before, of either window, is taken for true after this.
    void end() {
        for (window& w : windows_)
            w.end();
    }

    /// Shard thread: what will be said of the window's page is what it is now.
    void looked(unsigned number, page_index page) { windows_[number].looked(page); }
    /// Shard thread: the page changes, or is about to.
    void changes(page_index page) {
        for (window& w : windows_)
            w.changes(page);
    }
    void changes(page_run run) {
        for (window& w : windows_)
            w.changes(run);
    }
    /// Shard thread.
    [[nodiscard]] bool covers(page_index page) const {
        return std::ranges::any_of(windows_, [=](const window& w) { return w.covers(page); });
    }

    /// Any thread: a bit for each page of the window that has changed, the first page's the lowest.
    /// seq_cst: ordered with the caller's clearing of the dirty log, see above.
    [[nodiscard]] std::uint64_t changed(unsigned number) const {
        return windows_[number].changed.load(std::memory_order_seq_cst);
    }

  private:
    struct window {
        page_run run;
        std::atomic<std::uint64_t> changed{~std::uint64_t{0}};

        void begin(page_run pages) {
            UFFDMM_CHECK(pages.count <= most, "a watched window fits its mask");
            run = pages;
            changed.store(0, std::memory_order_seq_cst);
        }
        void end() {
            run = {};
            changed.store(~std::uint64_t{0}, std::memory_order_seq_cst);
        }
        void looked(page_index page) {
            if (covers(page)) // what happened before does not matter
                changed.fetch_and(~bit_of(page), std::memory_order_seq_cst);
        }
        void changes(page_index page) {
            if (covers(page))
                changed.fetch_or(bit_of(page), std::memory_order_seq_cst);
        }
        void changes(page_run pages) {
            if (run.count == 0 || pages.first >= run.end() || run.first >= pages.end())
                return;
            for (page_index page = pages.first; page < pages.end(); page = page + 1)
                changes(page);
        }
        [[nodiscard]] bool covers(page_index page) const {
            return page.value - run.first.value < run.count; // wraps for those below
        }
        [[nodiscard]] std::uint64_t bit_of(page_index page) const {
            return std::uint64_t{1} << (page - run.first);
        }
    };

    std::array<window, windows> windows_;
};

} // namespace uffdmm
