// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Marks prefetched pages as used, so that their later eviction is not taken for waste.

#include <cstdint>

#include "uffdmm/engine/page_table.hpp"
#include "uffdmm/prefetcher.hpp"

namespace uffdmm {

/// After prefetcher::on_fault(page, hits) returned `window`: clears page_flag::prefetched of the
/// `hits` pages that were proven used. They are the nearest flagged ones behind the fault, but
/// pages that were present anyway may lie between, at most a window of them.
inline void clear_proven(page_table& table, page_index page, const prefetch_window& window,
                         page_count hits) noexcept {
    std::int64_t at = page.value;
    for (page_count step = 0; hits != 0 && step < 2 * max_prefetch_window; ++step) {
        at -= window.stride;
        if (at < 0 || at >= std::int64_t{table.size()})
            return;
        page_entry& entry = table[{static_cast<std::uint32_t>(at)}];
        if (!entry.has(page_flag::prefetched))
            continue;
        entry.clear(page_flag::prefetched);
        --hits;
    }
}

} // namespace uffdmm
