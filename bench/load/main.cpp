// SPDX-License-Identifier: BSD-3-Clause

/// compare-load: the workload of bench/compare. Prints one JSON object a line and phase.

#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include "load/options.hpp"
#include "load/resident_log.hpp"
#include "load/touching.hpp"
#include "load/workload_memory.hpp"

namespace load {
namespace {

using json = nlohmann::ordered_json;

struct cpu_seconds {
    double user = 0;
    double system = 0;
};

cpu_seconds cpu_now() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return {seconds(usage.ru_utime), seconds(usage.ru_stime)};
}

double us(std::uint64_t ns) {
    return static_cast<double>(ns) * 1e-3;
}

json percentiles(const uffdmm::histogram_snapshot& h) {
    return {{"p50", us(h.percentile(0.5))},  {"p90", us(h.percentile(0.9))},
            {"p99", us(h.percentile(0.99))}, {"p999", us(h.percentile(0.999))},
            {"max", us(h.percentile(1.0))},  {"mean", h.mean() * 1e-3}};
}

/// [upper edge in us, share of touches up to it] of every bucket that holds any.
json distribution(const uffdmm::histogram_snapshot& h) {
    json points = json::array();
    const auto total = static_cast<double>(h.count());
    std::uint64_t seen = 0;
    for (unsigned i = 0; i < h.buckets; ++i) {
        if (h.counts[i] == 0)
            continue;
        seen += h.counts[i];
        const double share = static_cast<double>(seen) / total;
        points.push_back({us(h.percentile(share)), share});
    }
    return points;
}

json resident_over_time(resident_log& log) {
    json points = json::array();
    for (const auto& s : log.take())
        points.push_back({s.seconds, s.bytes});
    return points;
}

/// Waits for the driver's word; the end of its input means: go on.
void wait_for_turn(const options& asked) {
    std::string line;
    if (asked.step)
        std::getline(std::cin, line);
}

template <typename Work>
void phase(const char* name, const options& asked, const workload_memory& memory,
           resident_log& resident, Work&& work) {
    wait_for_turn(asked);
    (void)resident.take();
    const cpu_seconds before = cpu_now();
    const phase_figures figures = work();
    const cpu_seconds after = cpu_now();
    const json line{{"phase", name},
                    {"touches", figures.touches},
                    {"seconds", figures.seconds},
                    {"touches_per_second", static_cast<double>(figures.touches) / figures.seconds},
                    {"latency_us", percentiles(figures.latency)},
                    {"cpu_user", after.user - before.user},
                    {"cpu_system", after.system - before.system},
                    {"wrong", figures.wrong},
                    {"rss", resident_over_time(resident)},
                    {"cdf", distribution(figures.latency)},
                    {"library", json::parse(memory.statistics())}};
    std::cout << line.dump() << std::endl;
}

void run(const options& asked) {
    resident_log resident;
    const auto memory = make_memory(asked);
    std::byte* data = memory->data();
    phase("populate", asked, *memory, resident, [&] { return populate(asked, data); });
    if (!asked.populate_only) {
        phase("warmup", asked, *memory, resident,
              [&] { return run_pattern(asked, data, asked.warmup, 1); });
        phase("run", asked, *memory, resident,
              [&] { return run_pattern(asked, data, asked.run_time, 2); });
    }
    wait_for_turn(asked);
}

} // namespace
} // namespace load

int main(int argc, char** argv) {
    const std::vector<std::string_view> arguments(argv + 1, argv + argc);
    try {
        const load::options asked = load::parse_options(arguments);
        if (asked.help)
            std::cout << load::help_text();
        else
            load::run(asked);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "compare-load: %s\n", e.what());
        return 2;
    }
    return 0;
}
