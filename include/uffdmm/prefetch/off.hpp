// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// No prefetch.

#include "uffdmm/prefetcher.hpp"

namespace uffdmm {

class off_prefetcher final : public prefetcher {
  public:
    explicit off_prefetcher(page_count = 0, page_count = 0) {}

    [[nodiscard]] std::string_view name() const noexcept override { return "off"; }
    [[nodiscard]] prefetch_window on_fault(page_index, page_count& hits) noexcept override {
        hits = 0;
        return {};
    }
    void wasted(page_index) noexcept override {}
    [[nodiscard]] page_count window() const noexcept override { return 0; }
};

} // namespace uffdmm
