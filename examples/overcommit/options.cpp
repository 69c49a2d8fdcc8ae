// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/options.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "overcommit/option_values.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/tier_spec.hpp"

namespace overcommit {
namespace {

using uffdmm::setup_error;
using value = std::string_view;

constexpr uffdmm::byte_count mebibyte = 1u << 20;

/// An option: what it is called, what it means, and what it does. `argument` is empty for a switch.
struct option {
    std::string_view name;
    std::string_view argument;
    std::string_view help;
    void (*apply)(options& o, value name, value text);
};

std::chrono::nanoseconds seconds(double s) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(s));
}

constexpr std::array<std::string_view, 2> backings{"private", "memfd"};
constexpr std::array<std::string_view, 2> owners{"library", "embedder"};
constexpr std::array<std::string_view, 3> discard_calls{"api", "madvise", "both"};

constexpr std::array all_options{
    option{"--config", "FILE", "JSON configuration with one region; other options override it",
           [](options&, value, value) {}},
    option{"--size", "SIZE", "memory the workload sees (1G)",
           [](options& o, value n, value t) { o.region.size = size_in_bytes(n, t); }},
    option{"--limit", "SIZE", "host memory it may take (256M)",
           [](options& o, value n, value t) { o.manager.limit = size_in_bytes(n, t); }},
    option{
        "--tier", "TIER",
        "ram:SIZE[:lz4|zstd], file:PATH:SIZE or nbd:URI, tried in the order given; repeatable\n"
        "(ram: a quarter of the limit, then a file in /var/tmp)",
        [](options& o, value n, value t) { o.manager.tiers.push_back(uffdmm::parse_tier(t, n)); }},
    option{"--policy", "NAME", "eviction: fifo, second_chance, s3fifo (s3fifo)",
           [](options& o, value, value t) { o.region.policy = t; }},
    option{"--prefetch", "NAME", "off, sequential, stride, adaptive (adaptive)",
           [](options& o, value, value t) { o.region.prefetch = t; }},
    option{"--backing", "KIND", "private (anonymous memory) or memfd (private)",
           [](options& o, value n, value t) {
               o.region.kind = static_cast<uffdmm::backing>(name_in(n, t, backings));
           }},
    option{"--memory", "OWNER", "who maps the memory: library or embedder (library)",
           [](options& o, value n, value t) {
               o.memory = static_cast<memory_owner>(name_in(n, t, owners));
           }},
    option{"--shards", "N", "threads that serve the region (1)",
           [](options& o, value n, value t) {
               o.region.shards = static_cast<unsigned>(whole_number(n, t, 1, 64));
           }},
    option{"--workers", "N", "threads that compress (1)",
           [](options& o, value n, value t) {
               o.manager.workers = static_cast<unsigned>(whole_number(n, t, 1, 64));
           }},
    option{"--threads", "N", "threads that touch memory (1)",
           [](options& o, value n, value t) {
               o.threads = static_cast<unsigned>(whole_number(n, t, 1, 256));
           }},
    option{
        "--seconds", "S", "length of the run, after populating (10)",
        [](options& o, value n, value t) { o.run_time = seconds(decimal_number(n, t, 0, 1e6)); }},
    option{"--pattern", "NAME", "uniform, zipf, sequential, stride, scan+zipf, phases (uniform)",
           [](options& o, value n, value t) {
               o.pattern.kind = static_cast<pattern_kind>(name_in(n, t, pattern_names));
           }},
    option{"--skew", "X", "exponent of zipf (0.99)",
           [](options& o, value n, value t) { o.pattern.skew = decimal_number(n, t, 0.01, 10); }},
    option{"--stride", "PAGES", "step of --pattern stride (16)",
           [](options& o, value n, value t) {
               o.pattern.stride = static_cast<uffdmm::page_count>(whole_number(n, t, 1, 1u << 20));
           }},
    option{"--scan-percent", "P", "share of the scan in --pattern scan+zipf (25)",
           [](options& o, value n, value t) {
               o.pattern.scan_percent = static_cast<unsigned>(whole_number(n, t, 0, 100));
           }},
    option{"--working-set-percent", "P", "share of the memory in one of --pattern phases (20)",
           [](options& o, value n, value t) {
               o.pattern.working_set_percent = decimal_number(n, t, 0.01, 100);
           }},
    option{"--phase-seconds", "S", "how long one of --pattern phases lasts (3)",
           [](options& o, value n, value t) {
               o.pattern.phase = seconds(decimal_number(n, t, 0.01, 1e6));
           }},
    option{"--write-percent", "P", "share of touches that write (30)",
           [](options& o, value n, value t) { o.write_percent = decimal_number(n, t, 0, 100); }},
    option{"--compressibility", "RATIO", "pages compress RATIO:1 with LZ4, 1 to 20 (2.0)",
           [](options& o, value n, value t) {
               o.fill.compressibility = decimal_number(n, t, 1, most_compressible);
           }},
    option{"--same-filled-percent", "P", "share of pages that are one repeated word (0)",
           [](options& o, value n, value t) {
               o.fill.same_filled_percent = static_cast<unsigned>(whole_number(n, t, 0, 100));
           }},
    option{"--discard-percent", "P", "share of touches that discard 1 to 64 pages (0)",
           [](options& o, value n, value t) { o.discard_percent = decimal_number(n, t, 0, 100); }},
    option{"--discard-by", "CALL", "api, madvise (--backing private only) or both (api)",
           [](options& o, value n, value t) {
               o.discard_by = static_cast<discard_call>(name_in(n, t, discard_calls));
           }},
    option{"--limit-changes", "", "move the limit between half and all of --limit while running",
           [](options& o, value, value) { o.limit_changes = true; }},
    option{"--seed", "N", "of everything random (1)",
           [](options& o, value n, value t) {
               o.fill.seed = o.pattern.seed = whole_number(n, t, 0, UINT64_MAX);
           }},
    option{"--json", "", "print the report as one JSON object",
           [](options& o, value, value) { o.json = true; }},
    option{"--live", "", "print a line every half second (on if stdout is a terminal)",
           [](options& o, value, value) { o.live = true; }},
    option{"--quiet", "", "print nothing but errors",
           [](options& o, value, value) { o.quiet = true; }},
    option{"--help", "", "print this and exit", [](options& o, value, value) { o.help = true; }},
};

const option& find_option(std::string_view name) {
    for (const option& o : all_options)
        if (o.name == name)
            return o;
    std::string message(name);
    message += ": there is no such option; allowed:";
    for (const option& o : all_options)
        message.append(" ").append(o.name);
    throw setup_error(uffdmm::errc::invalid_argument, message);
}

struct given {
    const option* what;
    std::string_view text;
};

/// "--name value" and "--name=value".
std::vector<given> split(std::span<const std::string_view> arguments) {
    std::vector<given> found;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view argument = arguments[i];
        const std::size_t equals = argument.find('=');
        const option& o = find_option(argument.substr(0, equals));
        const bool inline_value = equals != std::string_view::npos;
        if (o.argument.empty() && inline_value)
            refuse_value(o.name, argument.substr(equals + 1), "no value");
        if (!o.argument.empty() && !inline_value && i + 1 == arguments.size())
            throw setup_error(uffdmm::errc::invalid_argument,
                              std::string(o.name) + ": needs a value: " + std::string(o.argument));
        std::string_view text = inline_value ? argument.substr(equals + 1) : std::string_view{};
        if (!o.argument.empty() && !inline_value)
            text = arguments[++i];
        found.push_back({&o, text});
    }
    return found;
}

void read_config(const std::string& file, options& o) {
    uffdmm::config config;
    try {
        config = uffdmm::load_config(file);
    } catch (const setup_error& e) {
        throw setup_error(e.code(), std::string("--config: ") + e.what(), e.os_errno());
    }
    if (config.regions.size() != 1)
        refuse_value("--config", file,
                     "a file with one region; it has " + std::to_string(config.regions.size()));
    o.manager = std::move(config.manager);
    o.region = std::move(config.regions.front());
}

/// Compressed RAM for what is warm, and a file that could hold everything.
std::vector<uffdmm::tier_config> default_tiers(const options& o) {
    uffdmm::ram_tier_config ram;
    ram.size = o.manager.limit / 4;
    uffdmm::file_tier_config file;
    file.path = "/var/tmp";
    file.size = o.region.size + o.region.size / 8 + 16 * mebibyte;
    return {ram, file};
}

void check(const options& o) {
    try {
        uffdmm::validate(o.manager);
        uffdmm::validate(o.region);
    } catch (const setup_error& e) {
        throw setup_error(e.code(), by_option(e.what()), e.os_errno());
    }
    const bool shared = o.region.kind == uffdmm::backing::shared_memory;
    if (o.discard_by != discard_call::api && (shared || !o.region.remove_events))
        refuse_value("--discard-by", discard_calls[static_cast<std::size_t>(o.discard_by)],
                     "api, because madvise discards only with --backing private and remove_events");
    if (o.threads > o.region.size / uffdmm::page_size)
        refuse_value("--threads", std::to_string(o.threads), "at most one for each page of --size");
}

} // namespace

options parse_options(std::span<const std::string_view> arguments) {
    const std::vector<given> found = split(arguments);
    options o;
    o.manager.limit = 256 * mebibyte;
    o.region.size = 1024 * mebibyte;
    o.pattern.phase = std::chrono::seconds(3);
    bool configured = false;
    for (const given& g : found)
        if (g.what->name == "--config") {
            read_config(std::string(g.text), o);
            configured = true;
        }
    const auto is_tier = [](const given& g) { return g.what->name == "--tier"; };
    const bool tiers_given = std::any_of(found.begin(), found.end(), is_tier);
    if (tiers_given)
        o.manager.tiers.clear();
    for (const given& g : found)
        g.what->apply(o, g.what->name, g.text);
    if (tiers_given)
        uffdmm::name_tiers(o.manager.tiers);
    if (!configured && !tiers_given)
        o.manager.tiers = default_tiers(o);
    if (!o.help)
        check(o);
    o.pattern.pages = uffdmm::pages_of(o.region.size);
    return o;
}

std::string by_option(std::string_view message) {
    const std::string_view key = message.substr(0, message.find_first_of(":[. "));
    if (key == "tiers")
        return "--tier: " + std::string(message);
    if (key == "kind")
        return "--backing: " + std::string(message);
    const std::string option = "--" + std::string(key);
    const bool known = std::any_of(all_options.begin(), all_options.end(),
                                   [&](const overcommit::option& o) { return o.name == option; });
    return (known ? "--" : "") + std::string(message);
}

std::string usage() {
    constexpr std::size_t column = 30;
    std::string text = "usage: overcommit [OPTION]...\n\n"
                       "Runs a workload in memory that libuffdmm keeps inside a budget, and checks "
                       "every byte of it.\nSizes: 4096, 256K, 64M, 1G. In brackets: what is taken "
                       "if the option is not given.\n\n";
    for (const option& o : all_options) {
        std::string line = "  " + std::string(o.name) + " " + std::string(o.argument);
        line.resize(std::max(column, line.size() + 1), ' ');
        for (char c : o.help)
            line.append(c == '\n' ? "\n" + std::string(column, ' ') : std::string(1, c));
        text += line + "\n";
    }
    return text + "\nExit status: 0 good, 1 a page was corrupt or the limit was broken, 2 the "
                  "options are wrong or\nthe library cannot start.\n";
}

} // namespace overcommit
