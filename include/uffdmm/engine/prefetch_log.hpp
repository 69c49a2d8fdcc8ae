// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The last windows prefetched, so that a fault that proves one useful can clear the `prefetched`
/// flags of its pages: they must not count as waste when they are evicted later.

#include <array>

#include "uffdmm/engine/page_table.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

class prefetch_log {
  public:
    void add(page_index first, std::int64_t stride, page_count count) {
        windows_[next_++ % windows_.size()] = {first, stride, count};
    }

    /// A fault came just where a window ended: its pages were used. Returns how many that proves.
    page_count proven(page_table& table, page_index fault) {
        page_count hits = 0;
        for (window& w : windows_) {
            if (w.count == 0 || w.at(w.count) != fault.value)
                continue;
            for (page_count i = 0; i < w.count; ++i) {
                page_entry& entry = table[page_index{static_cast<std::uint32_t>(w.at(i))}];
                hits += entry.has(page_flag::prefetched) ? 1 : 0;
                entry.clear(page_flag::prefetched);
            }
            w.count = 0;
        }
        return hits;
    }

  private:
    struct window {
        page_index first;
        std::int64_t stride = 1;
        page_count count = 0;

        [[nodiscard]] std::int64_t at(page_count i) const { return first.value + stride * i; }
    };
    std::array<window, 16> windows_{};
    std::size_t next_ = 0;
};

} // namespace uffdmm
