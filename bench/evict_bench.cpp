// SPDX-License-Identifier: BSD-3-Clause

/// region::evict as an embedder calls it, per page by pages per 64-page window: command to the
/// shard thread, eviction, compression by a worker, frames given back. For the engine's eviction
/// against the bare ioctl see compare_evict.cpp.

#include <random>

#include <benchmark/benchmark.h>

#include "support/clock.hpp"
#include "support/contents.hpp"
#include "uffdmm/manager.hpp"

namespace uffdmm::bench {
namespace {

constexpr byte_count mib = byte_count{1} << 20;
constexpr page_count windows = 64;
constexpr page_count window_pages = 64;

/// Pages for which the worker has no room stay behind: asked again until none are left.
bool evict_all(region& r, byte_count left) {
    constexpr unsigned most_tries = 64;
    for (unsigned i = 0; i < most_tries && left != 0; ++i) {
        const auto evicted = r.evict(0, r.size());
        if (!evicted.ok())
            return false;
        left -= evicted.value();
    }
    return left == 0;
}

void region_evict(benchmark::State& state) {
    const auto per_window = static_cast<page_count>(state.range(0));
    manager m({.limit = 256 * mib, .tiers = {ram_tier_config{.size = 64 * mib}}});
    region& r = m.add_region({.size = bytes_of(windows * window_pages), .prefetch = "off"});
    std::mt19937_64 random(1);
    for ([[maybe_unused]] auto each : state) {
        for (page_count w = 0; w < windows; ++w)
            for (page_count i = 0; i < per_window; ++i)
                fill(r.data() + std::size_t{w * window_pages + i} * page_size, contents::mixed,
                     random);
        const std::uint64_t start = now_ns();
        if (!evict_all(r, bytes_of(windows * per_window)))
            state.SkipWithError("not everything was evicted");
        state.SetIterationTime(static_cast<double>(now_ns() - start) * 1e-9);
    }
    state.SetItemsProcessed(state.iterations() * windows * per_window);
}
BENCHMARK(region_evict)->Arg(1)->Arg(4)->Arg(16)->Arg(64)->UseManualTime();

} // namespace
} // namespace uffdmm::bench
