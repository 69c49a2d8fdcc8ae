// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Sequential prefetch for several interleaved forward streams.
///
///      last fault      window                 expected: a fault here proves the window
///          │ ┌───────────────────────────┐    │
///     ─────●─┴───────────────────────────┴────○──── ... slack: pages that were present
///
/// A fault just after one of the last few faults makes a stream. While a stream is read in order
/// only the page after each window faults; each such fault doubles the window. Random faults make
/// no stream, push none out, and cost a look at 16 numbers.

#include <algorithm>
#include <array>
#include <cstdint>

#include "uffdmm/prefetch/clip_window.hpp"
#include "uffdmm/prefetcher.hpp"

namespace uffdmm {

class sequential_prefetcher final : public prefetcher {
  public:
    sequential_prefetcher(page_count pages, page_count max_window)
        : pages_(pages), max_window_(std::min(max_window, max_prefetch_window - 1)) {
        recent_.fill(none);
    }

    [[nodiscard]] std::string_view name() const noexcept override { return "sequential"; }

    [[nodiscard]] prefetch_window on_fault(page_index page, page_count& hits) noexcept override {
        prefetch_window window;
        if (!recognize(page, hits, window) && ++idle_ >= forget_window_after)
            window_ = 0;
        return window;
    }

    /// on_fault() that tells whether the fault belongs to a stream, whatever its window is.
    bool recognize(page_index page, page_count& hits, prefetch_window& window) noexcept {
        hits = 0;
        window = {page, 1, 0};
        ++clock_;
        if (stream* s = stream_of(page)) {
            hits = learn(*s, page);
            window = advance(*s, page);
            return true;
        }
        for (std::uint32_t& follower : recent_) {
            if (follower != page.value)
                continue;
            follower = none;
            window = advance(start(page), page);
            return true;
        }
        recent_[clock_ % recent_.size()] = page.value + 1;
        return false;
    }

    void wasted(page_index page) noexcept override {
        for (stream& s : streams_)
            if (s.alive && page >= s.first && page < s.expected)
                shrink(s);
        if (++waste_ < waste_per_doubt)
            return;
        waste_ = 0;
        doubt_ = std::min(doubt_ + 1, max_doubt);
    }

    [[nodiscard]] page_count window() const noexcept override { return window_; }

  private:
    struct stream {
        page_index first;      ///< first page of the latest window
        page_index expected;   ///< page after it
        page_count size = 0;   ///< of the next window
        page_count wasted = 0; ///< pages of the latest window
        unsigned wait = 0;     ///< faults in order that it owes before it gets a window
        std::uint64_t used_at = 0;
        bool alive = false;
    };

    static constexpr std::uint32_t none = no_page.value; ///< no valid page follows this one
    static constexpr page_count first_window = 4;
    static constexpr page_count loose_window = 63; ///< with the faulting page one run
    static constexpr page_count waste_per_doubt = 32;
    static constexpr page_count hits_per_trust = 128;
    static constexpr unsigned max_doubt = 4;
    static constexpr unsigned wait_after_waste = 16;    ///< faults in order
    static constexpr unsigned forget_window_after = 64; ///< faults outside every stream

    /// The stream that expected a fault on `page`. Inside its window: the engine clipped the
    /// window, or lost the page again. A little after it: the pages between were there already.
    [[nodiscard]] stream* stream_of(page_index page) {
        for (stream& s : streams_)
            if (s.alive && page >= s.first && page - s.first <= reach_of(s))
                return &s;
        return nullptr;
    }

    [[nodiscard]] static page_count reach_of(const stream& s) {
        const page_count issued = s.expected - s.first;
        return issued + std::min(issued, loose_window);
    }
    /// Just where the window ended, or where its first run did. The larger windows are, the more
    /// random faults lie in one by chance: only a fault like this proves a large one.
    [[nodiscard]] static bool is_exact(const stream& s, page_index page) {
        return page == s.expected || page - s.first == loose_window;
    }

    stream& start(page_index page) {
        stream& s = *std::min_element(
            streams_.begin(), streams_.end(),
            [](const stream& a, const stream& b) { return a.used_at < b.used_at; });
        s = {page, page, 0, 0, 1u << doubt_, clock_, true};
        return s;
    }

    /// What the fault on `page` says about the stream's latest window; returns its proven pages.
    page_count learn(stream& s, page_index page) {
        const page_count issued = s.expected - s.first;
        const page_count reached = std::min(page - s.first, issued);
        const page_count proven = reached - std::min(s.wasted, reached);
        if (issued != 0 && 2 * reached >= issued && s.wasted == 0)
            s.size = std::min(2 * s.size, max_window_);
        if (!is_exact(s, page))
            s.size = std::min(s.size, loose_window);
        trust_ += proven;
        for (; trust_ >= hits_per_trust; trust_ -= hits_per_trust)
            doubt_ -= doubt_ > 0 ? 1 : 0;
        return proven;
    }

    prefetch_window advance(stream& s, page_index page) {
        if (s.size == 0 && --s.wait == 0)
            s.size = std::min(first_window, max_window_);
        const prefetch_window window = window_after(page, 1, s.size, pages_);
        s.first = page + 1;
        s.expected = s.first + window.count;
        s.wasted = 0;
        s.used_at = clock_;
        s.alive = s.expected.value < pages_;
        window_ = s.size;
        idle_ = 0;
        return window;
    }

    /// A page of the latest window was lost unused: half the window next time, and none for a
    /// while if half of it was lost.
    void shrink(stream& s) {
        if (s.wasted++ == 0)
            s.size /= 2;
        if (s.size == 0 || 2 * s.wasted >= s.expected - s.first) {
            s.size = 0;
            s.wait = wait_after_waste;
        }
        window_ = s.size;
    }

    page_count pages_;
    page_count max_window_;
    std::array<stream, 8> streams_{};
    std::array<std::uint32_t, 8> recent_; ///< the pages after the last faults outside streams
    std::uint64_t clock_ = 0;
    page_count window_ = 0;
    unsigned idle_ = 0;
    /// Short runs of adjacent faults look like streams and waste a window each. The more is wasted,
    /// the longer (2^doubt faults) a stream must prove itself before it gets a window.
    unsigned doubt_ = 0;
    page_count waste_ = 0;
    page_count trust_ = 0;
};

} // namespace uffdmm
