// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Marks prefetched pages as used, so that their later eviction is not taken for waste.

#include <cstdint>

#include "uffdmm/engine/page_table.hpp"
#include "uffdmm/prefetcher.hpp"

namespace uffdmm {

/// After prefetcher::on_fault(page, hits) returned `window`: clears page_flag::prefetched of the
/// `hits` pages that were proven used. They are the nearest flagged ones behind the fault, but
/// pages that were present anyway may lie between, at most a window of them. Returns how many it
/// found.
inline page_count clear_proven(page_table& table, page_index page, const prefetch_window& window,
                               page_count hits) noexcept {
    std::int64_t at = page.value;
    page_count found = 0;
    for (page_count step = 0; found < hits && step < 2 * max_prefetch_window; ++step) {
        at -= window.stride;
        if (at < 0 || at >= std::int64_t{table.size()})
            break;
        page_entry& entry = table[{static_cast<std::uint32_t>(at)}];
        if (!entry.has(page_flag::prefetched))
            continue;
        entry.clear(page_flag::prefetched);
        ++found;
    }
    return found;
}

} // namespace uffdmm
