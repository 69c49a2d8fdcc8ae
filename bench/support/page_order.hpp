// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Orders in which pages of a table are visited.

#include <algorithm>
#include <random>
#include <vector>

#include "uffdmm/types.hpp"

namespace uffdmm::bench {

inline constexpr page_count small_table = 1 << 10; ///< 16 KiB of entries: in the first cache
inline constexpr page_count large_table = 1 << 20; ///< 16 MiB, for 4 GiB of guest memory

/// All pages, in an order that is the same in every run.
inline std::vector<page_index> shuffled_pages(page_count pages) {
    std::vector<page_index> order(pages);
    for (page_count i = 0; i < pages; ++i)
        order[i] = page_index{i};
    std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
    return order;
}

} // namespace uffdmm::bench
