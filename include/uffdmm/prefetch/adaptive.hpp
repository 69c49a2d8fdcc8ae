// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Sequential streams first; faults that belong to none are searched for a majority stride. A fault
/// is shown to one of the two only, so neither is noise to the other.

#include "uffdmm/prefetch/sequential.hpp"
#include "uffdmm/prefetch/stride.hpp"

namespace uffdmm {

class adaptive_prefetcher final : public prefetcher {
  public:
    adaptive_prefetcher(page_count pages, page_count max_window)
        : sequential_(pages, max_window), stride_(pages, max_window) {}

    [[nodiscard]] std::string_view name() const noexcept override { return "adaptive"; }

    [[nodiscard]] prefetch_window on_fault(page_index page, page_count& hits) noexcept override {
        prefetch_window window;
        latest_is_sequential_ = sequential_.recognize(page, hits, window);
        return latest_is_sequential_ ? window : stride_.on_fault(page, hits);
    }
    void wasted(page_index page) noexcept override {
        sequential_.wasted(page);
        stride_.wasted(page);
    }
    [[nodiscard]] page_count window() const noexcept override {
        return latest_is_sequential_ ? sequential_.window() : stride_.window();
    }

  private:
    sequential_prefetcher sequential_;
    stride_prefetcher stride_;
    bool latest_is_sequential_ = false;
};

} // namespace uffdmm
