// SPDX-License-Identifier: BSD-3-Clause

/// Latency of a touch: answered by the bare handler (the floor), and by the library, by kind of
/// resolution. For ratios see compare_faults.cpp, which takes turns.

#include <memory>
#include <string>

#include <benchmark/benchmark.h>

#include "support/bare_faults.hpp"
#include "support/library_faults.hpp"
#include "support/summary.hpp"

namespace uffdmm::bench {
namespace {

constexpr unsigned batches = 16;

void measure(benchmark::State& state, fault_source& source) {
    source.prepare();
    for (unsigned i = 0; i < fault_source::batch; ++i) // warming up
        (void)source.touch(i);
    std::vector<double> latencies;
    unsigned next = fault_source::batch;
    for ([[maybe_unused]] auto each : state) {
        if (next == fault_source::batch) {
            source.prepare();
            next = 0;
        }
        const auto ns = static_cast<double>(source.touch(next++));
        latencies.push_back(ns);
        state.SetIterationTime(ns * 1e-9);
    }
    const summary s = summarize(std::move(latencies));
    state.counters["p50_us"] = s.median / 1000;
    state.counters["p99_us"] = s.p99 / 1000;
}

void bare(benchmark::State& state, operation what, placement where) {
    const pinned here(cpus_for(where)->faulting);
    bare_faults source(what, what == operation::unprotect, where);
    measure(state, source);
}

void library(benchmark::State& state, fault_kind kind, placement where) {
    const pinned here(cpus_for(where)->faulting);
    library_faults source(kind, where, "/var/tmp");
    measure(state, source);
}

template <typename What>
void add(const char* group, What what, placement where,
         void (*run)(benchmark::State&, What, placement)) {
    const std::string name = std::string(group) + "/" + to_string(what) + "/" + to_string(where);
    benchmark::RegisterBenchmark(name.c_str(), run, what, where)
        ->UseManualTime()
        ->Iterations(batches * fault_source::batch)
        ->Unit(benchmark::kMicrosecond);
}

[[maybe_unused]] const bool registered = [] {
    for (const placement where : placements) {
        if (!cpus_for(where))
            continue;
        for (const operation what : operations)
            add("floor", what, where, bare);
        for (const fault_kind kind : fault_kinds)
            add("fault", kind, where, library);
    }
    return true;
}();

} // namespace
} // namespace uffdmm::bench
