// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The prefetch interface: which pages to bring in together with a faulting one.
///
/// Accesses to pages that are mapped already are invisible. Whether a prefetch was of use is
/// therefore judged by the next fault: a fault just where a window ended proves that the window was
/// used. The engine clips every window to pages that are untouched or swapped, to the free
/// memory above three quarters of the low watermark, and to max_prefetch_window.

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "uffdmm/export.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Pages `first`, `first + stride`, ... (`count` of them), not including the faulting page.
/// stride may be negative; count 0 means no prefetch.
struct prefetch_window {
    page_index first;
    std::int32_t stride = 1;
    page_count count = 0;
};

/// Largest window any prefetcher may ask for.
inline constexpr page_count max_prefetch_window = 512;

class UFFDMM_CXX_API prefetcher {
  public:
    prefetcher() = default;
    prefetcher(const prefetcher&) = delete;
    prefetcher& operator=(const prefetcher&) = delete;
    virtual ~prefetcher() = default;

    [[nodiscard]] virtual std::string_view name() const noexcept = 0;

    /// A fault on `page` (untouched or swapped) is being served; returns what to bring in with it.
    /// `hits` is set to the number of earlier prefetched pages this fault proves used. With hits
    /// the result carries their stride, even if its count is 0: see prefetch/proven.hpp.
    [[nodiscard]] virtual prefetch_window on_fault(page_index page, page_count& hits) noexcept = 0;

    /// A prefetched page was evicted before any proof of use.
    virtual void wasted(page_index page) noexcept = 0;

    /// Window size at present, in pages; 0 if nothing is being prefetched.
    [[nodiscard]] virtual page_count window() const noexcept = 0;
};

/// Makes a prefetcher for a shard of `pages` pages.
using prefetcher_factory = std::function<std::unique_ptr<prefetcher>(page_count pages)>;

} // namespace uffdmm
