// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Majority-stride prefetch after Leap (Al Maruf and Chowdhury, USENIX ATC 2020): the stride that
/// more than half of the latest faults follow is the trend, whatever noise lies between.
///
/// Leap also sees accesses to prefetched pages; here they are invisible. A fault on the tracked
/// stream therefore counts in the history as all the steps it proves, not as one long jump.

#include <algorithm>
#include <array>
#include <cstdint>

#include "uffdmm/prefetch/clip_window.hpp"
#include "uffdmm/prefetcher.hpp"

namespace uffdmm {

class stride_prefetcher final : public prefetcher {
  public:
    stride_prefetcher(page_count pages, page_count max_window)
        : pages_(pages), max_window_(std::min(max_window, max_prefetch_window - 1)) {}

    [[nodiscard]] std::string_view name() const noexcept override { return "stride"; }

    [[nodiscard]] prefetch_window on_fault(page_index page, page_count& hits) noexcept override {
        hits = 0;
        const prefetch_window none{page, tracked_.stride == 0 ? 1 : tracked_.stride, 0};
        const page_count steps = steps_along(page);
        const std::int64_t jump = std::int64_t{page.value} - last_.value;
        const bool first_fault = last_ == no_page;
        last_ = page;
        if (steps != 0) {
            remember(tracked_.stride, steps);
            hits = learn(steps);
        } else {
            remember(first_fault || !fits(jump) ? 0 : static_cast<std::int32_t>(jump), 1);
        }
        const std::int32_t trend = majority();
        if (trend != 0 && trend == tracked_.stride && steps != 0)
            return advance(page);
        if (trend != 0 && trend == jump && hits == 0)
            return follow(page, trend);
        if (trend == 0 && hits == 0)
            size_ = 0;
        return none;
    }

    void wasted(page_index page) noexcept override {
        if (!in_window(page))
            return;
        if (tracked_.wasted++ == 0)
            size_ /= 2;
        if (size_ == 0 || 2 * tracked_.wasted >= tracked_.count) {
            size_ = 0;
            wait_ = wait_after_waste;
        }
    }

    [[nodiscard]] page_count window() const noexcept override { return size_; }

  private:
    /// The stream being followed: its last fault, and the window issued there.
    struct stream {
        page_index at = no_page;
        std::int32_t stride = 0; ///< 0: none
        page_count count = 0;
        page_count wasted = 0;
    };

    static constexpr unsigned history = 32;
    static constexpr unsigned first_look = 4; ///< latest faults looked at first
    static constexpr page_count first_window = 4;
    static constexpr unsigned wait_after_waste = 16; ///< faults along the trend

    [[nodiscard]] static bool fits(std::int64_t jump) {
        return jump >= -std::int64_t{INT32_MAX} && jump <= std::int64_t{INT32_MAX};
    }

    /// How many strides `page` is ahead of the tracked stream's last fault; 0 if it is not on it,
    /// or further than twice its window.
    [[nodiscard]] page_count steps_along(page_index page) const {
        if (tracked_.stride == 0)
            return 0;
        const std::int64_t way = std::int64_t{page.value} - tracked_.at.value;
        if (way % tracked_.stride != 0)
            return 0;
        const std::int64_t steps = way / tracked_.stride;
        const std::int64_t most = 2 * (std::int64_t{tracked_.count} + 1);
        return steps < 1 || steps > most ? 0 : static_cast<page_count>(steps);
    }

    [[nodiscard]] bool in_window(page_index page) const {
        const page_count steps = steps_along(page);
        return steps >= 1 && steps <= tracked_.count;
    }

    void remember(std::int32_t delta, page_count times) {
        for (page_count i = 0; i < std::min<page_count>(times, history); ++i) {
            newest_ = (newest_ + 1) % history;
            deltas_[newest_] = delta;
        }
    }

    /// Boyer-Moore majority vote over the latest 4, 8, 16, 32 deltas: the shortest look that has a
    /// majority wins, so a new trend is found fast. 0 if there is none.
    [[nodiscard]] std::int32_t majority() const {
        for (unsigned look = first_look; look <= history; look *= 2) {
            std::int32_t candidate = 0;
            int votes = 0;
            for (unsigned i = 0; i < look; ++i) {
                if (votes == 0)
                    candidate = delta(i);
                votes += delta(i) == candidate ? 1 : -1;
            }
            unsigned support = 0;
            for (unsigned i = 0; i < look; ++i)
                support += delta(i) == candidate ? 1 : 0;
            if (candidate != 0 && 2 * support > look)
                return candidate;
        }
        return 0;
    }
    [[nodiscard]] std::int32_t delta(unsigned age) const {
        return deltas_[(newest_ + history - age) % history];
    }

    /// What a fault `steps` along the stream says about the window; returns its proven pages.
    page_count learn(page_count steps) {
        const page_count reached = std::min(steps - 1, tracked_.count);
        if (tracked_.count != 0 && 2 * reached >= tracked_.count && tracked_.wasted == 0)
            size_ = std::min(2 * size_, max_window_);
        return reached - std::min(tracked_.wasted, reached);
    }

    prefetch_window follow(page_index page, std::int32_t trend) {
        if (tracked_.stride != trend)
            size_ = 0;
        tracked_.stride = trend;
        return advance(page);
    }

    prefetch_window advance(page_index page) {
        wait_ -= wait_ > 0 ? 1 : 0;
        if (size_ == 0 && wait_ == 0)
            size_ = std::min(first_window, max_window_);
        const prefetch_window window = window_after(page, tracked_.stride, size_, pages_);
        tracked_.at = page;
        tracked_.count = window.count;
        tracked_.wasted = 0;
        return window;
    }

    page_count pages_;
    page_count max_window_;
    std::array<std::int32_t, history> deltas_{}; ///< ring; 0: no step
    unsigned newest_ = 0;
    page_index last_ = no_page;
    stream tracked_;
    page_count size_ = 0; ///< of the next window
    unsigned wait_ = 0;   ///< faults along the trend owed before the next window
};

} // namespace uffdmm
