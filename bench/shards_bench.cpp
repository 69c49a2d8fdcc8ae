// SPDX-License-Identifier: BSD-3-Clause

/// Faults per second against the number of shards, with as many faulting threads, each in its own
/// shard's slice. Placement is left to the scheduler.

#include <atomic>
#include <barrier>
#include <optional>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>

#include "support/clock.hpp"
#include "uffdmm/manager.hpp"

namespace uffdmm::bench {
namespace {

constexpr byte_count mib = byte_count{1} << 20;
constexpr byte_count slice = 16 * mib;
constexpr page_count slice_pages = static_cast<page_count>(slice / page_size);

/// Threads that write to every page of their slice when told.
class toucher_team {
  public:
    toucher_team(std::byte* memory, unsigned threads)
        : line_(static_cast<std::ptrdiff_t>(threads) + 1) {
        for (unsigned t = 0; t < threads; ++t)
            threads_.emplace_back([this, at = memory + t * slice] { loop(at); });
    }
    toucher_team(const toucher_team&) = delete;
    toucher_team& operator=(const toucher_team&) = delete;
    ~toucher_team() {
        stop_ = true;
        line_.arrive_and_wait();
        for (std::thread& t : threads_)
            t.join();
    }
    /// All threads, once through their slices.
    void run() {
        line_.arrive_and_wait();
        line_.arrive_and_wait();
    }

  private:
    void loop(std::byte* at) {
        for (;;) {
            line_.arrive_and_wait();
            if (stop_)
                return;
            for (page_count i = 0; i < slice_pages; ++i)
                *reinterpret_cast<volatile std::byte*>(at + std::size_t{i} * page_size) =
                    std::byte{1};
            line_.arrive_and_wait();
        }
    }

    std::barrier<> line_;
    bool stop_ = false; ///< ordered by line_
    std::vector<std::thread> threads_;
};

/// First touches: range(0) shards and threads. range(1): whether idle shard threads spin first.
void first_touches(benchmark::State& state) {
    const auto shards = static_cast<unsigned>(state.range(0));
    manager_config config;
    config.limit = 512 * mib;
    config.spin = std::chrono::microseconds(state.range(1));
    manager m(config);
    region_config ram;
    ram.size = slice * shards;
    ram.shards = shards;
    ram.prefetch = "off";
    region& r = m.add_region(ram);
    toucher_team team(r.data(), shards);
    for ([[maybe_unused]] auto each : state) {
        if (!r.discard(0, r.size()).ok())
            state.SkipWithError("discard failed");
        const std::uint64_t start = now_ns();
        team.run();
        state.SetIterationTime(static_cast<double>(now_ns() - start) * 1e-9);
    }
    state.SetItemsProcessed(state.iterations() * slice_pages * shards);
}
BENCHMARK(first_touches)
    ->ArgNames({"shards", "spin_us"})
    ->ArgsProduct({{1, 2, 4}, {0, 20}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

/// The same with one shard for all threads: what sharding is for.
void first_touches_one_shard(benchmark::State& state) {
    const auto threads = static_cast<unsigned>(state.range(0));
    manager m({.limit = 512 * mib});
    region& r = m.add_region({.size = slice * threads, .prefetch = "off"});
    toucher_team team(r.data(), threads);
    for ([[maybe_unused]] auto each : state) {
        if (!r.discard(0, r.size()).ok())
            state.SkipWithError("discard failed");
        const std::uint64_t start = now_ns();
        team.run();
        state.SetIterationTime(static_cast<double>(now_ns() - start) * 1e-9);
    }
    state.SetItemsProcessed(state.iterations() * slice_pages * threads);
}
BENCHMARK(first_touches_one_shard)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Arg(4)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

} // namespace
} // namespace uffdmm::bench
