// SPDX-License-Identifier: BSD-3-Clause
#include "load/options.hpp"

#include <array>

#include "overcommit/option_values.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/tier_spec.hpp"

namespace load {
namespace {

using namespace overcommit;
using std::string_view;

struct option {
    string_view name;
    string_view argument; ///< empty for a switch
    string_view help;
    void (*apply)(options& o, string_view name, string_view text);
};

constexpr std::array<string_view, 2> sides{"kernel", "library"};
constexpr std::array<string_view, 2> placements{"scheduler", "gather"};
constexpr std::array<string_view, 3> first_touches{"contents", "word", "read"};

std::chrono::nanoseconds seconds(string_view name, string_view text) {
    const std::chrono::duration<double> s(decimal_number(name, text, 0, 1e6));
    return std::chrono::duration_cast<std::chrono::nanoseconds>(s);
}

void set_pattern(options& o, string_view name, string_view text) {
    std::array<string_view, pattern_names.size() + 1> names;
    std::copy(pattern_names.begin(), pattern_names.end(), names.begin());
    names.back() = "populate";
    const std::size_t chosen = name_in(name, text, names);
    o.populate_only = chosen == pattern_names.size();
    if (!o.populate_only)
        o.pattern.kind = static_cast<pattern_kind>(chosen);
}

unsigned small_number(string_view name, string_view text, unsigned low, unsigned high) {
    return static_cast<unsigned>(whole_number(name, text, low, high));
}

constexpr std::array all_options{
    option{"--side", "NAME", "kernel (plain memory) or library (library)",
           [](options& o, string_view n, string_view t) {
               o.side = static_cast<memory_side>(name_in(n, t, sides));
           }},
    option{"--region", "SIZE", "memory the workload sees (512M)",
           [](options& o, string_view n, string_view t) { o.region.size = size_in_bytes(n, t); }},
    option{"--limit", "SIZE", "the library's limit (256M)",
           [](options& o, string_view n, string_view t) { o.manager.limit = size_in_bytes(n, t); }},
    option{"--tier", "TIER",
           "ram:SIZE[:lz4|zstd], file:PATH:SIZE or nbd:URI, repeatable (compressed RAM)",
           [](options& o, string_view n, string_view t) {
               o.manager.tiers.push_back(uffdmm::parse_tier(t, n));
           }},
    option{"--policy", "NAME", "of the library (its default)",
           [](options& o, string_view, string_view t) { o.region.policy = t; }},
    option{"--prefetch", "NAME", "of the library (its default)",
           [](options& o, string_view, string_view t) { o.region.prefetch = t; }},
    option{"--shards", "N", "of the library (1)",
           [](options& o, string_view n, string_view t) {
               o.region.shards = small_number(n, t, 1, 64);
           }},
    option{"--remove-events", "", "the library watches for madvise, which here nobody calls",
           [](options& o, string_view, string_view) { o.region.remove_events = true; }},
    option{"--workers", "N", "of the library (1)",
           [](options& o, string_view n, string_view t) {
               o.manager.workers = small_number(n, t, 1, 64);
           }},
    option{
        "--staged-percent", "P", "of the limit, for staged pages, 0 to 50 (its default)",
        [](options& o, auto n, auto t) { o.manager.staged_percent = small_number(n, t, 0, 50); }},
    option{"--low-watermark", "P", "free share in permille at which reclaim starts (its default)",
           [](options& o, auto n, auto t) {
               o.manager.low_watermark_permille = small_number(n, t, 1, 249);
           }},
    option{"--high-watermark", "P", "free share in permille at which it stops (its default)",
           [](options& o, auto n, auto t) {
               o.manager.high_watermark_permille = small_number(n, t, 2, 250);
           }},
    option{"--spin", "US", "longest an idle thread of the library spins (its default)",
           [](options& o, string_view n, string_view t) {
               o.manager.spin = std::chrono::microseconds(small_number(n, t, 0, 10000));
           }},
    option{"--placement", "NAME", "scheduler or gather: CPUs of the threads (scheduler)",
           [](options& o, string_view n, string_view t) {
               o.manager.placement =
                   static_cast<uffdmm::thread_placement>(name_in(n, t, placements));
           }},
    option{
        "--threads", "N", "threads that touch memory (1)",
        [](options& o, string_view n, string_view t) { o.threads = small_number(n, t, 1, 256); }},
    option{"--pattern", "NAME",
           "uniform, zipf, sequential, stride, scan+zipf, phases, populate (uniform)", set_pattern},
    option{"--first-touch", "KIND", "contents, word (write one) or read (contents)",
           [](options& o, string_view n, string_view t) {
               o.touch_first = static_cast<first_touch>(name_in(n, t, first_touches));
           }},
    option{"--write-percent", "P", "share of touches that write (0)",
           [](options& o, string_view n, string_view t) {
               o.write_percent = decimal_number(n, t, 0, 100);
           }},
    option{"--compressibility", "R", "pages compress R:1 with LZ4, 1 to 20 (2)",
           [](options& o, string_view n, string_view t) {
               o.fill.compressibility = decimal_number(n, t, 1, most_compressible);
           }},
    option{"--same-filled-percent", "P", "share of pages that are one repeated word (0)",
           [](options& o, string_view n, string_view t) {
               o.fill.same_filled_percent = small_number(n, t, 0, 100);
           }},
    option{"--warmup", "S", "seconds of the pattern before it counts (2)",
           [](options& o, string_view n, string_view t) { o.warmup = seconds(n, t); }},
    option{"--seconds", "S", "seconds that count (3)",
           [](options& o, string_view n, string_view t) { o.run_time = seconds(n, t); }},
    option{"--seed", "N", "of everything random (1)",
           [](options& o, string_view n, string_view t) {
               o.fill.seed = o.pattern.seed = whole_number(n, t, 0, UINT64_MAX);
           }},
    option{"--step", "", "wait for a line on stdin before each phase and before the end",
           [](options& o, string_view, string_view) { o.step = true; }},
    option{"--help", "", "print this and exit",
           [](options& o, string_view, string_view) { o.help = true; }},
};

const option& find_option(string_view name) {
    for (const option& o : all_options)
        if (o.name == name)
            return o;
    throw uffdmm::setup_error(uffdmm::errc::invalid_argument,
                              std::string(name) + ": there is no such option; see --help");
}

} // namespace

options parse_options(std::span<const string_view> arguments) {
    options o;
    o.region.remove_events = false; // memory that nobody discards
    o.region.size = uffdmm::byte_count{512} << 20;
    o.manager.limit = uffdmm::byte_count{256} << 20;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const option& found = find_option(arguments[i]);
        if (!found.argument.empty() && i + 1 == arguments.size())
            refuse_value(found.name, "", found.argument);
        found.apply(o, found.name, found.argument.empty() ? string_view{} : arguments[++i]);
    }
    uffdmm::name_tiers(o.manager.tiers);
    o.pattern.pages = uffdmm::pages_of(o.region.size);
    o.pattern.phase = std::chrono::seconds(3);
    return o;
}

std::string help_text() {
    std::string text = "One workload on plain memory or on a region of libuffdmm; figures as JSON "
                       "lines.\nbench/compare runs both in turns.\n\n";
    for (const option& o : all_options) {
        std::string head = "  " + std::string(o.name) + " " + std::string(o.argument);
        head.resize(std::max<std::size_t>(head.size() + 1, 28), ' ');
        text += head + std::string(o.help) + "\n";
    }
    return text;
}

} // namespace load
