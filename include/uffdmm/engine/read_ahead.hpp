// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What a prefetch window holds beyond the run that comes in with its fault. It is brought in a
/// slice at a time, between faults, so that nobody waits for pages that nobody asked for, and a
/// stream that is read in order finds its pages there without a fault for each run of them.

#include <algorithm>
#include <array>
#include <cstdint>

#include "uffdmm/engine/installer.hpp"
#include "uffdmm/engine/shard_core.hpp"
#include "uffdmm/engine/swap_in.hpp"
#include "uffdmm/prefetcher.hpp"

namespace uffdmm {

template <kernel Kernel>
class read_ahead {
  public:
    read_ahead(shard_core<Kernel>& core, installer<Kernel>& install, swap_in<Kernel>& reads)
        : core_(core), installer_(install), reads_(reads) {}

    /// A window inside the shard, or an empty one. It takes the place of one that it goes on from,
    /// of an empty one, or of the oldest.
    void add(const prefetch_window& window) {
        if (window.count == 0)
            return;
        *place_for(window) = {window, core_.step_ns, ++added_};
    }

    /// Whether the page is part of a window that is coming in.
    [[nodiscard]] bool covers(page_index page) const {
        for (const pending& p : pending_)
            if (p.window.count != 0 && overlap(p.window, {page, 1, 1}))
                return true;
        return false;
    }

    /// Brings in the first pages of a window at once.
    void now(prefetch_window window) { (void)slice(window, slice_of_memory); }

    /// Brings in one slice of a window. Returns whether there may be more to do at once.
    bool step() {
        for (std::size_t i = 0; i < pending_.size(); ++i) {
            pending& p = pending_[++turn_ % pending_.size()];
            if (p.window.count == 0)
                continue;
            if (slice(p.window, p.window.stride == 1 ? max_run : scattered_slice))
                return true;
            if (core_.step_ns - p.since_ns > longest_wait_ns)
                p.window.count = 0;
        }
        return false;
    }

  private:
    struct pending {
        prefetch_window window; ///< what is left of it
        std::uint64_t since_ns = 0;
        std::uint64_t number = 0;
    };

    static constexpr page_count slice_of_memory = 32;
    static constexpr page_count scattered_slice = 16;
    /// A window that finds no memory for so long is about the past.
    static constexpr std::uint64_t longest_wait_ns = 5'000'000;

    [[nodiscard]] pending* place_for(const prefetch_window& window) {
        pending* oldest = &pending_.front();
        for (pending& p : pending_) {
            if (p.window.count != 0 && p.window.stride == window.stride &&
                overlap(p.window, window))
                return &p;
            if (age(p) < age(*oldest))
                oldest = &p;
        }
        return oldest;
    }
    [[nodiscard]] static std::uint64_t age(const pending& p) {
        return p.window.count == 0 ? 0 : p.number;
    }
    [[nodiscard]] static bool overlap(const prefetch_window& a, const prefetch_window& b) {
        const auto [a_low, a_high] = ends(a);
        const auto [b_low, b_high] = ends(b);
        return a_low <= b_high && b_low <= a_high;
    }
    [[nodiscard]] static std::pair<std::int64_t, std::int64_t> ends(const prefetch_window& w) {
        const std::int64_t first = w.first.value;
        const std::int64_t last = first + std::int64_t{w.stride} * (w.count - 1);
        return std::minmax(first, last);
    }

    /// Returns whether anything came in, or was there already.
    bool slice(prefetch_window& w, page_count most) {
        page_count left = std::min(w.count, most);
        const page_count before = w.count;
        while (left != 0) {
            const page_count n = bring_in({w.first, w.stride == 1 ? left : 1});
            if (n == 0)
                break;
            left -= n;
            w.count -= n;
            w.first =
                page_index{static_cast<std::uint32_t>(w.first.value + std::int64_t{w.stride} * n)};
        }
        return w.count != before;
    }

    /// Pages at the start of `run` that are there now, or on their way; 0 if there is no memory.
    page_count bring_in(page_run run) {
        const page_entry& entry = core_.table[run.first];
        if (entry.state() == page_state::swapped)
            return reads_.prefetch(run);
        if (!fillable(run.first))
            return 1;
        page_count n = 1;
        while (n < run.count && fillable(run.first + n))
            ++n;
        while (n != 0 && !core_.try_charge(n, installer_.prefetch_reserve()))
            n /= 2;
        return n == 0 ? 0 : installer_.zeros(run.first, n, none_demanded, false).done;
    }
    [[nodiscard]] bool fillable(page_index page) const {
        return core_.fillable(page) && !core_.huge.reserves(page);
    }

    shard_core<Kernel>& core_;
    installer<Kernel>& installer_;
    swap_in<Kernel>& reads_;
    std::array<pending, 4> pending_{};
    std::size_t turn_ = 0;
    std::uint64_t added_ = 0;
};

} // namespace uffdmm
