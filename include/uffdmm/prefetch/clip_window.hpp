// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Keeps prefetch windows inside the shard.

#include <algorithm>
#include <cstdint>

#include "uffdmm/prefetcher.hpp"

namespace uffdmm {

/// The window of up to `wanted` pages that follow `page` at distance `stride` (not 0), inside
/// [0, pages).
[[nodiscard]] inline prefetch_window window_after(page_index page, std::int32_t stride,
                                                  page_count wanted, page_count pages) {
    const std::int64_t at = page.value;
    const std::int64_t room =
        stride > 0 ? (std::int64_t{pages} - 1 - at) / stride : at / -std::int64_t{stride};
    const page_count count =
        static_cast<page_count>(std::clamp<std::int64_t>(room, 0, std::int64_t{wanted}));
    if (count == 0)
        return {page, stride, 0};
    return {{static_cast<std::uint32_t>(at + stride)}, stride, count};
}

/// `window` without the pages outside [0, pages); empty where it makes no sense.
[[nodiscard]] inline prefetch_window clipped(const prefetch_window& window, page_count pages) {
    const bool usable = window.stride != 0 && window.first.value < pages;
    if (!usable || window.count == 0)
        return {window.first, window.stride, 0};
    const page_count wanted = std::min(window.count, max_prefetch_window);
    prefetch_window rest = window_after(window.first, window.stride, wanted - 1, pages);
    return {window.first, window.stride, rest.count + 1};
}

} // namespace uffdmm
