// SPDX-License-Identifier: BSD-3-Clause

/// What scales with faults besides the kernel (bench/SCALING.md): the engine alone, on the fake
/// kernel of the tests, and the one thing that shards share on every fault, the budget.

#include <benchmark/benchmark.h>

#include "support/shard_world.hpp"

namespace uffdmm::bench {
namespace {

class nobody final : public squeeze_listener {
    void squeezed() noexcept override {}
};

/// First touches, range(0) of them known to the shard at once. Includes what the fake kernel does.
void engine_faults(benchmark::State& state) {
    const auto at_once = static_cast<unsigned>(state.range(0));
    test::world_options o;
    o.pages = 4096;
    o.room = 8192;
    o.vcpus = at_once;
    o.prefetch = "off";
    test::shard_world world(o);
    std::uint32_t next = 0;
    for ([[maybe_unused]] auto each : state) {
        if (next + at_once > o.pages) {
            state.PauseTiming();
            world.discard({{0}, o.pages});
            next = 0;
            state.ResumeTiming();
        }
        for (unsigned cpu = 0; cpu < at_once; ++cpu)
            world.start_access(cpu, {next++}, true);
        (void)world.engine->step();
        world.finish();
    }
    state.SetItemsProcessed(state.iterations() * at_once);
}
BENCHMARK(engine_faults)->ArgName("at_once")->Arg(1)->Arg(4)->Arg(16);

/// Every thread charges and uncharges pages of its own account, `run` at a time: a run of 1 stays
/// within what the account was granted, 256 goes to the shared budget each time.
void shared_budget(benchmark::State& state) {
    static budget money(byte_count{1} << 40);
    nobody listener;
    account mine(money, 1, listener);
    const byte_count run = bytes_of(static_cast<page_count>(state.range(0)));
    for ([[maybe_unused]] auto each : state) {
        benchmark::DoNotOptimize(mine.try_charge(run));
        mine.uncharge(run);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(shared_budget)->ArgName("run")->Arg(1)->Arg(256)->Threads(1)->Threads(2)->UseRealTime();

} // namespace
} // namespace uffdmm::bench
