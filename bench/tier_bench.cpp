// SPDX-License-Identifier: BSD-3-Clause

/// Tiers: storing and loading a batch of pages, to the end, per page. Compression is included,
/// which the library does on worker threads. And what comes before any tier: finding same-filled
/// pages.

#include <cstdlib>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "support/contents.hpp"
#include "support/tier_world.hpp"
#include "tier/file/file_tier.hpp"
#include "tier/ram/ram_tier.hpp"
#include "uffdmm/engine/same_filled.hpp"

namespace uffdmm::bench {
namespace {

constexpr byte_count mib = byte_count{1} << 20;

tier_factory ram(codec which, int level) {
    return make_ram_tier_factory({.size = 64 * mib, .compression = which, .level = level}, 0);
}
tier_factory file() {
    const char* const directory = std::getenv("UFFDMM_BENCH_DIRECTORY");
    return make_file_tier_factory(
        {.path = directory != nullptr ? directory : "/var/tmp", .size = 256 * mib});
}

void store(benchmark::State& state, const tier_factory& make) {
    tier_world world(make);
    const auto n = static_cast<std::size_t>(state.range(0));
    for ([[maybe_unused]] auto each : state) {
        if (!world.store(n))
            state.SkipWithError("the tier did not take the pages");
        world.release(n);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

void load(benchmark::State& state, const tier_factory& make) {
    tier_world world(make);
    const auto n = static_cast<std::size_t>(state.range(0));
    if (!world.store(n))
        state.SkipWithError("the tier did not take the pages");
    for ([[maybe_unused]] auto each : state)
        if (!world.load(n))
            state.SkipWithError("the tier did not give the pages back");
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

void add(const std::string& name, tier_factory (*make)()) {
    for (const int n : {1, 64}) {
        benchmark::RegisterBenchmark(("tier/" + name + "/store").c_str(),
                                     [=](benchmark::State& state) { store(state, make()); })
            ->Arg(n)
            ->UseRealTime();
        benchmark::RegisterBenchmark(("tier/" + name + "/load").c_str(),
                                     [=](benchmark::State& state) { load(state, make()); })
            ->Arg(n)
            ->UseRealTime();
    }
}

[[maybe_unused]] const bool registered = [] {
    add("ram_lz4", [] { return ram(codec::lz4, 1); });
    add("ram_zstd1", [] { return ram(codec::zstd, 1); });
    add("file", file);
    return true;
}();

// ---- same-filled pages --------------------------------------------------------------------------

void find_pattern(benchmark::State& state, const std::vector<std::byte>& page) {
    for ([[maybe_unused]] auto each : state) {
        benchmark::DoNotOptimize(page.data());
        benchmark::DoNotOptimize(fill_pattern_of(page.data()));
    }
}

void same_filled_yes(benchmark::State& state) {
    find_pattern(state, std::vector<std::byte>(page_size));
}
BENCHMARK(same_filled_yes);

/// What most pages cost.
void same_filled_no(benchmark::State& state) {
    std::vector<std::byte> page(page_size);
    std::mt19937_64 random(1);
    fill(page.data(), contents::noise, random);
    find_pattern(state, page);
}
BENCHMARK(same_filled_no);

/// The worst case: one word is different, near the end.
void same_filled_nearly(benchmark::State& state) {
    std::vector<std::byte> page(page_size);
    page[page_size - 16] = std::byte{1};
    find_pattern(state, page);
}
BENCHMARK(same_filled_nearly);

void same_filled_rebuild(benchmark::State& state) {
    std::vector<std::byte> page(page_size);
    for ([[maybe_unused]] auto each : state) {
        fill_with_pattern(page.data(), 0x0123'4567'89ab'cdefu);
        benchmark::DoNotOptimize(page.data());
        benchmark::ClobberMemory();
    }
}
BENCHMARK(same_filled_rebuild);

} // namespace
} // namespace uffdmm::bench
