// SPDX-License-Identifier: BSD-3-Clause

/// policy-sim: hit ratios of the eviction policies on page traces, beside LRU and the optimum.
///
/// Every page of the region is touched once, in order, then the trace is replayed; the first
/// quarter of it is not counted. A hit is a touch of a page that is in memory, mapped or staged: no
/// tier is read.

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "policy_sim/engine_model.hpp"
#include "policy_sim/reference.hpp"
#include "policy_sim/trace.hpp"
#include "registry/registry.hpp"
#include "uffdmm/config.hpp"

namespace policy_sim {
namespace {

constexpr const char* usage_text =
    "policy-sim [OPTION]... [TRACE]...\n"
    "  TRACE            a name (default: all), or the path of a file with a page number a line\n"
    "  --pages=N        pages of the region, for named traces (65536)\n"
    "  --touches=N      for named traces (2000000)\n"
    "  --seed=N         (1)\n"
    "  --staged=PERCENT of the capacity (12)\n"
    "  --json           JSON instead of a table\n";

struct options {
    trace_size size{65536, 2'000'000, 1};
    engine_tuning tuning;
    bool json = false;
    std::vector<std::string> traces;
};

template <typename Number>
Number number_in(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
        throw std::invalid_argument("not a number: " + std::string(text));
    return value;
}

options parse(int argc, char** argv) {
    options o;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        const std::string_view value = word.substr(std::min(word.find('=') + 1, word.size()));
        if (word == "--json")
            o.json = true;
        else if (word.starts_with("--pages="))
            o.size.pages = number_in<uffdmm::page_count>(value);
        else if (word.starts_with("--touches="))
            o.size.touches = number_in<std::size_t>(value);
        else if (word.starts_with("--seed="))
            o.size.seed = number_in<std::uint64_t>(value);
        else if (word.starts_with("--staged="))
            o.tuning.staged_percent = number_in<unsigned>(value);
        else if (word.starts_with("-"))
            throw std::invalid_argument(usage_text);
        else
            o.traces.emplace_back(word);
    }
    if (o.size.pages < 4096 || o.tuning.staged_percent > 50)
        throw std::invalid_argument("--pages is 4096 at least, --staged 50 at most");
    if (o.traces.empty())
        o.traces.assign(trace_names().begin(), trace_names().end());
    return o;
}

struct row {
    std::string trace;
    unsigned overcommit = 0; ///< region ÷ capacity
    double optimum = 0;
    double lru = 0;
    std::vector<figures> policies; ///< as in policy_names()
};

/// Every page once, then the trace.
std::vector<std::uint32_t> populated(const trace& t) {
    std::vector<std::uint32_t> all(t.pages);
    std::iota(all.begin(), all.end(), 0u);
    all.insert(all.end(), t.touches.begin(), t.touches.end());
    return all;
}

figures replay(std::string_view policy, const std::vector<std::uint32_t>& touches,
               std::size_t counted_from, uffdmm::page_count pages, uffdmm::page_count capacity,
               engine_tuning tuning) {
    engine_model model(uffdmm::find_policy(policy), pages, capacity, tuning);
    for (std::size_t i = 0; i < touches.size(); ++i) {
        if (i == counted_from)
            model.forget_figures();
        model.touch({touches[i]});
    }
    return model.seen();
}

row measure(const trace& t, unsigned overcommit, engine_tuning tuning) {
    const std::vector<std::uint32_t> touches = populated(t);
    const std::size_t from = t.pages + t.touches.size() / 4;
    const uffdmm::page_count capacity = t.pages / overcommit;
    const auto ratio = [&](std::uint64_t misses) {
        return 1 - static_cast<double>(misses) / static_cast<double>(touches.size() - from);
    };
    row r{t.name,
          overcommit,
          ratio(optimal_misses(touches, from, t.pages, capacity)),
          ratio(lru_misses(touches, from, t.pages, capacity)),
          {}};
    for (const std::string_view policy : uffdmm::policy_names())
        r.policies.push_back(replay(policy, touches, from, t.pages, capacity, tuning));
    return r;
}

void print_heading() {
    std::printf("%-14s %-4s %7s %7s", "hit ratio, %", "", "optimum", "lru");
    for (const std::string_view policy : uffdmm::policy_names())
        std::printf(" | %-13.*s taken  pages/", static_cast<int>(policy.size()), policy.data());
    std::printf("\n%-14s %-4s %7s %7s", "trace", "over", "", "");
    for (std::size_t i = 0; i < uffdmm::policy_names().size(); ++i)
        std::printf(" | %-13s back, %% flush ", "");
    std::printf("\n");
}

void print(const row& r) {
    std::printf("%-14s %ux   %7.2f %7.2f", r.trace.c_str(), r.overcommit, 100 * r.optimum,
                100 * r.lru);
    for (const figures& f : r.policies)
        std::printf(" | %13.2f %7.2f %6.1f", 100 * f.hit_ratio(),
                    100 * static_cast<double>(f.take_backs) / static_cast<double>(f.touches),
                    f.pages_per_flush());
    std::printf("\n");
    std::fflush(stdout);
}

nlohmann::json to_json(const row& r) {
    nlohmann::json out{{"trace", r.trace},
                       {"region_by_capacity", r.overcommit},
                       {"optimum_hit_ratio", r.optimum},
                       {"lru_hit_ratio", r.lru}};
    for (std::size_t i = 0; i < r.policies.size(); ++i) {
        const figures& f = r.policies[i];
        out["policies"][std::string(uffdmm::policy_names()[i])] = {
            {"hit_ratio", f.hit_ratio()}, {"touches", f.touches}, {"misses", f.misses},
            {"take_backs", f.take_backs}, {"evicted", f.evicted}, {"flushes", f.flushes}};
    }
    return out;
}

int run(const options& o) {
    nlohmann::json all = nlohmann::json::array();
    if (!o.json)
        print_heading();
    for (const std::string& name : o.traces) {
        const bool is_file = name.find('/') != std::string::npos;
        const trace t = is_file ? read_trace(name) : make_trace(name, o.size);
        for (const unsigned overcommit : {2u, 4u}) {
            const row r = measure(t, overcommit, o.tuning);
            if (o.json)
                all.push_back(to_json(r));
            else
                print(r);
        }
    }
    if (o.json)
        std::printf("%s\n", all.dump(2).c_str());
    return 0;
}

} // namespace
} // namespace policy_sim

int main(int argc, char** argv) {
    try {
        return policy_sim::run(policy_sim::parse(argc, argv));
    } catch (const std::exception& e) {
        std::fprintf(stderr, "policy-sim: %s\n", e.what());
        return 2;
    }
}
