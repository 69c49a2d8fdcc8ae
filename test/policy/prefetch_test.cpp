// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "registry/registry.hpp"
#include "support/catch.hpp"
#include "support/seed.hpp"
#include "uffdmm/prefetch/adaptive.hpp"
#include "uffdmm/prefetch/off.hpp"
#include "uffdmm/prefetch/proven.hpp"
#include "uffdmm/prefetch/sequential.hpp"
#include "uffdmm/prefetch/stride.hpp"

namespace {

using namespace uffdmm;

/// A guest whose touches fault unless the page was touched or prefetched before.
class simulated_guest {
  public:
    simulated_guest(prefetcher& p, page_count pages) : prefetch_(p), present_(pages) {}

    void touch(std::int64_t page) {
        const page_index at{static_cast<std::uint32_t>(page)};
        ++touches;
        if (present_[at.value])
            return;
        ++faults;
        page_count proven = 0;
        const prefetch_window w = prefetch_.on_fault(at, proven);
        hits += proven;
        present_[at.value] = true;
        for (page_count i = 0; i < w.count; ++i) {
            const std::int64_t brought = std::int64_t{w.first.value} + std::int64_t{w.stride} * i;
            REQUIRE(brought >= 0);
            REQUIRE(brought < static_cast<std::int64_t>(present_.size()));
            prefetched += present_[static_cast<std::size_t>(brought)] ? 0 : 1;
            present_[static_cast<std::size_t>(brought)] = true;
        }
    }
    /// Evicts a page that was prefetched and never used.
    void lose(page_index page) {
        present_[page.value] = false;
        prefetch_.wasted(page);
    }

    std::uint64_t touches = 0;
    std::uint64_t faults = 0;
    std::uint64_t hits = 0;
    std::uint64_t prefetched = 0;

  private:
    prefetcher& prefetch_;
    std::vector<bool> present_;
};

constexpr page_count many = 100'000;

TEST_CASE("prefetch off: never asks for anything") {
    off_prefetcher off;
    simulated_guest guest(off, 1000);
    for (int i = 0; i < 1000; ++i)
        guest.touch(i);
    REQUIRE(guest.faults == 1000);
    REQUIRE(off.window() == 0);
}

TEST_CASE("sequential prefetch: a scan faults about once per largest window") {
    sequential_prefetcher p(many, 64);
    simulated_guest guest(p, many);
    for (int i = 0; i < 64'000; ++i)
        guest.touch(i);
    REQUIRE(guest.faults < 64'000 / 64 + 10);
    REQUIRE(guest.hits > 63'000 - 128);
    REQUIRE(p.window() == 64);
}

TEST_CASE("sequential prefetch: no window is larger than configured") {
    for (const page_count most : {1u, 7u, 32u}) {
        sequential_prefetcher p(many, most);
        page_count hits = 0;
        page_count largest = 0;
        for (std::uint32_t at = 0; at < 10'000;) {
            const prefetch_window w = p.on_fault({at}, hits);
            largest = std::max(largest, w.count);
            at += w.count + 1;
        }
        REQUIRE(largest == most);
    }
}

TEST_CASE("sequential prefetch: eight interleaved streams, among random faults, are all found") {
    UFFDMM_INFO_SEED();
    for (const bool adaptive : {false, true}) {
        constexpr page_count pages = 1'000'000;
        std::unique_ptr<prefetcher> p;
        if (adaptive)
            p = std::make_unique<adaptive_prefetcher>(pages, 64);
        else
            p = std::make_unique<sequential_prefetcher>(pages, 64);
        simulated_guest guest(*p, pages);
        std::mt19937_64 random(test::seed());
        for (int i = 0; i < 5000; ++i)
            for (int s = 0; s < 8; ++s)
                guest.touch(s * 100'000 + i);
        const std::uint64_t in_order = guest.faults;
        REQUIRE(in_order < 8 * (5000 / 64 + 12));
        for (int i = 5000; i < 10'000; ++i) {
            for (int s = 0; s < 8; ++s)
                guest.touch(s * 100'000 + i);
            guest.touch(900'000 + static_cast<std::int64_t>(random() % 100'000));
        }
        REQUIRE(guest.faults < 2 * in_order + 5000);
    }
}

TEST_CASE("prefetch: random faults cost almost nothing") {
    UFFDMM_INFO_SEED();
    for (const std::string_view name : prefetcher_names()) {
        INFO(name);
        constexpr page_count pages = 1'000'000;
        const auto p = find_prefetcher(name, 64)(pages);
        simulated_guest guest(*p, pages);
        std::mt19937_64 random(test::seed());
        for (int i = 0; i < 100'000; ++i)
            guest.touch(static_cast<std::int64_t>(random() % pages));
        REQUIRE(guest.prefetched < guest.faults / 100);
        REQUIRE(p->window() <= 4);
    }
}

TEST_CASE("sequential prefetch: short runs that waste their windows make it more careful") {
    sequential_prefetcher p(many, 64);
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    for (std::uint32_t run = 0; run < 500; ++run) {
        page_count hits = 0;
        for (std::uint32_t i = 0; i < 2; ++i) {
            const prefetch_window w = p.on_fault({run * 200 + i}, hits);
            (run < 20 ? first : last) += w.count;
            for (page_count n = 0; n < w.count; ++n)
                p.wasted(w.first + n);
        }
    }
    REQUIRE(first > 0);
    REQUIRE(last < 100);
}

TEST_CASE("prefetch: waste halves the window, then stops it; use brings it back") {
    for (const std::string_view name : {"sequential", "stride", "adaptive"}) {
        INFO(name);
        const auto p = find_prefetcher(name, 32)(many);
        page_count hits = 0;
        std::uint32_t at = 0;
        prefetch_window w;
        while (w.count < 32) {
            w = p->on_fault({at}, hits);
            at += w.count + 1;
        }
        p->wasted(w.first + 31);
        w = p->on_fault({at}, hits);
        REQUIRE(hits == 31);
        REQUIRE(w.count == 16);
        for (page_count i = 0; i < 16; ++i)
            p->wasted(w.first + i);
        REQUIRE(p->window() == 0);
        at += w.count + 1;
        w = p->on_fault({at}, hits);
        REQUIRE(hits == 0);
        REQUIRE(w.count == 0);
        unsigned faults = 0;
        while (w.count < 32) {
            w = p->on_fault({at += w.count + 1}, hits);
            REQUIRE(++faults < 40);
        }
    }
}

TEST_CASE("sequential prefetch: random faults after long streams bring in next to nothing") {
    constexpr page_count pages = 65'536;
    sequential_prefetcher p(pages, 256);
    simulated_guest guest(p, pages);
    for (int i = 0; i < 8 * 4096; ++i)
        guest.touch(i);
    REQUIRE(p.window() == 256);
    page_count hits = 0;
    std::uint64_t asked = 0;
    std::uint32_t x = 12345;
    for (int i = 0; i < 20'000; ++i) {
        x = x * 1664525u + 1013904223u;
        asked += p.on_fault({(x >> 8) % pages}, hits).count;
    }
    REQUIRE(asked < 20'000);
}

TEST_CASE("sequential prefetch: a clipped window does not end the stream") {
    sequential_prefetcher p(many, 64);
    page_count hits = 0;
    std::uint32_t at = 0;
    std::uint64_t proven = 0;
    page_count largest = 0;
    for (int i = 0; i < 100; ++i) { // the engine brings in three quarters of what is asked for
        const prefetch_window w = p.on_fault({at}, hits);
        proven += hits;
        largest = std::max(largest, w.count);
        at += 1 + w.count * 3 / 4;
    }
    REQUIRE(largest == 63); // one run: no more without a fault just behind a window
    REQUIRE(proven > 4000);
}

TEST_CASE("sequential prefetch: pages that were present anyway do not end the stream") {
    sequential_prefetcher p(many, 16);
    page_count hits = 0;
    std::uint32_t at = 0;
    for (int i = 0; i < 10; ++i)
        at += p.on_fault({at}, hits).count + 1;
    const prefetch_window w = p.on_fault({at + 10}, hits);
    REQUIRE(hits == 16);
    REQUIRE(w.first.value == at + 11);
    REQUIRE(w.count == 16);
}

TEST_CASE("stride prefetch: strides up and down are found and the window grows") {
    for (const std::string_view name : {"stride", "adaptive"}) {
        for (const int stride : {2, 7, 64, 1000, -1, -3, -500}) {
            INFO(name << " stride " << stride);
            const auto p = find_prefetcher(name, 32)(1'000'000);
            simulated_guest guest(*p, 1'000'000);
            const std::int64_t from = stride > 0 ? 0 : 999'999;
            for (std::int64_t i = 0; i < 900; ++i)
                guest.touch(from + i * stride);
            REQUIRE(guest.faults < 900 / 33 + 15);
            REQUIRE(guest.prefetched <= 900 + 32);
            REQUIRE(p->window() == 32);
        }
    }
}

TEST_CASE("stride prefetch: a majority survives noise") {
    UFFDMM_INFO_SEED();
    constexpr page_count pages = 1'000'000;
    stride_prefetcher p(pages, 16);
    simulated_guest guest(p, pages);
    std::mt19937_64 random(test::seed());
    for (std::int64_t i = 0; i < 8000; ++i) {
        guest.touch(i * 5);
        if (i % 4 == 3)
            guest.touch(500'000 + static_cast<std::int64_t>(random() % 500'000));
    }
    REQUIRE(guest.faults < 2000 + 8000 / 10);
    REQUIRE(guest.hits > 7000);
}

TEST_CASE("stride prefetch: a change of stride is followed") {
    stride_prefetcher p(many, 16);
    simulated_guest guest(p, many);
    for (std::int64_t i = 0; i < 500; ++i)
        guest.touch(i * 3);
    const std::uint64_t before = guest.faults;
    for (std::int64_t i = 0; i < 500; ++i)
        guest.touch(50'000 + i * 11);
    REQUIRE(guest.faults - before < 500 / 17 + 15);
}

TEST_CASE("stride prefetch: a fault behind the stream proves nothing") {
    stride_prefetcher p(many, 16);
    page_count hits = 0;
    std::uint32_t at = 30'000;
    for (int i = 0; i < 10; ++i)
        at += (p.on_fault({at}, hits).count + 1) * 3;
    REQUIRE(hits == 16);
    REQUIRE(p.on_fault({at - 999}, hits).count == 0);
    REQUIRE(hits == 0);
    REQUIRE(p.on_fault({at}, hits).count == 16); // the stream goes on where it was
    REQUIRE(hits == 16);
}

TEST_CASE("adaptive prefetch: a sequential and a strided stream at once") {
    adaptive_prefetcher p(many, 32);
    simulated_guest guest(p, many);
    for (std::int64_t i = 0; i < 3000; ++i) {
        guest.touch(i);
        guest.touch(10'000 + i * 9);
    }
    REQUIRE(guest.faults < 2 * (3000 / 33 + 20));
}

TEST_CASE("prefetch: no window leaves the shard, whatever faults") {
    UFFDMM_INFO_SEED();
    for (const std::string_view name : prefetcher_names()) {
        for (const page_count pages : {1u, 2u, 65u, 1000u, 0xffff'fffeu}) {
            INFO(name << " pages " << pages);
            const auto p = find_prefetcher(name, 64)(pages);
            std::mt19937_64 random(test::seed());
            std::int64_t at = 0;
            std::int64_t step = 1;
            for (int i = 0; i < 20'000; ++i) {
                if (random() % 16 == 0) {
                    step = static_cast<std::int64_t>(random() % 200) - 100;
                    at = static_cast<std::int64_t>(random() % pages);
                    if (random() % 2 == 0)
                        at = std::max<std::int64_t>(0, std::int64_t{pages} - 1 - at % 128);
                }
                if (at < 0 || at >= pages)
                    at = random() % 2 == 0 ? 0 : std::int64_t{pages} - 1;
                const page_index fault{static_cast<std::uint32_t>(at)};
                page_count hits = 0;
                const prefetch_window w = p->on_fault(fault, hits);
                REQUIRE(w.count <= 64);
                REQUIRE(hits <= 64);
                REQUIRE((hits == 0 || w.stride != 0));
                if (w.count != 0) {
                    const std::int64_t first = w.first.value;
                    const std::int64_t end = first + std::int64_t{w.stride} * (w.count - 1);
                    REQUIRE((first < pages && end >= 0 && end < pages && first != at));
                    if (random() % 4 == 0)
                        p->wasted({static_cast<std::uint32_t>(end)});
                    if (random() % 2 == 0)
                        at = end;
                }
                at += step;
            }
        }
    }
}

TEST_CASE("prefetch: proven pages lose their mark, others keep it") {
    page_table table(100);
    for (std::uint32_t i = 0; i < 100; ++i)
        table[{i}].set(page_flag::prefetched);
    clear_proven(table, {50}, {{51}, 1, 0}, 3);
    for (std::uint32_t i = 0; i < 100; ++i)
        REQUIRE(table[{i}].has(page_flag::prefetched) == (i < 47 || i > 49));
    clear_proven(table, {90}, {{80}, -4, 7}, 2); // behind a falling stride lie higher pages
    REQUIRE_FALSE(table[{94}].has(page_flag::prefetched));
    REQUIRE_FALSE(table[{98}].has(page_flag::prefetched));
    REQUIRE(table[{86}].has(page_flag::prefetched));
    clear_proven(table, {1}, {{2}, 1, 4}, 64); // stops at the edge of the shard
    REQUIRE_FALSE(table[{0}].has(page_flag::prefetched));
    REQUIRE(table[{1}].has(page_flag::prefetched));
}

} // namespace
