// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Runs of pages that one-pass readers have read and gone on from, oldest first. Those of their
/// pages that carry page_flag::passing came in for the reader alone and are the first to be
/// evicted. Forgetting a run is harmless: its pages leave when the policy says so.

#include <algorithm>
#include <array>
#include <cstddef>

#include "uffdmm/types.hpp"

namespace uffdmm {

/// Ring of runs. Owner: the shard.
class passing_pages {
  public:
    [[nodiscard]] bool empty() const { return size_ == 0; }

    /// A run that goes on from the latest one extends it.
    void add(page_run run) {
        if (run.count == 0)
            return;
        if (size_ != 0 && newest().end() == run.first && newest().count < longest) {
            newest().count += run.count;
            return;
        }
        if (size_ == runs_.size())
            drop_oldest();
        runs_[(first_ + size_++) % runs_.size()] = run;
    }

    /// Takes the pages of the oldest run that lie in one aligned window of `window` pages (a power
    /// of two). Not to be called when empty.
    [[nodiscard]] page_run take(page_count window) {
        page_run& oldest = runs_[first_];
        const page_count to_edge = window - oldest.first.value % window;
        const page_run taken{oldest.first, std::min(oldest.count, to_edge)};
        oldest.first = oldest.first + taken.count;
        oldest.count -= taken.count;
        if (oldest.count == 0)
            drop_oldest();
        return taken;
    }

  private:
    static constexpr page_count longest = 1u << 20;

    [[nodiscard]] page_run& newest() { return runs_[(first_ + size_ - 1) % runs_.size()]; }
    void drop_oldest() {
        first_ = (first_ + 1) % runs_.size();
        --size_;
    }

    std::array<page_run, 64> runs_{};
    std::size_t first_ = 0;
    std::size_t size_ = 0;
};

} // namespace uffdmm
