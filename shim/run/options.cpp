// SPDX-License-Identifier: BSD-3-Clause
#include "run/options.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "uffdmm/result.hpp"
#include "uffdmm/tier_spec.hpp"

namespace preload {
namespace {

using uffdmm::setup_error;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

[[noreturn]] void refuse(std::string_view option, std::string_view value,
                         std::string_view allowed) {
    std::string message(option);
    message.append(": \"").append(value).append("\" is not allowed; allowed: ").append(allowed);
    throw setup_error(uffdmm::errc::invalid_argument, message);
}

std::size_t threshold_from(std::string_view option, std::string_view text) {
    const std::size_t bytes = uffdmm::parse_size(text, option);
    if (bytes < 64 << 10)
        refuse(option, text, "64K and more");
    return bytes;
}

void read_config(settings& s, std::string_view file) {
    uffdmm::config config = uffdmm::load_config(std::string(file));
    if (config.regions.size() > 1)
        refuse("--config", file, "a file with at most one region: what areas are like");
    s.config.manager = std::move(config.manager);
    if (!config.regions.empty())
        s.config.regions = std::move(config.regions);
}

/// `argument` is empty for a switch.
struct option {
    std::string_view name;
    std::string_view argument;
    std::string_view help;
    void (*apply)(settings& s, std::string_view name, std::string_view text);
};

using text = std::string_view;

constexpr std::array all_options{
    option{"--limit", "SIZE", "host memory for what is managed (256M)",
           [](settings& s, text n, text t) { s.config.manager.limit = uffdmm::parse_size(t, n); }},
    option{"--tier", "TIER",
           "ram:SIZE[:lz4|zstd], file:PATH:SIZE, shared:PATH:SIZE or nbd:URI, tried in the\n"
           "order given; repeatable (ram: half of the limit)",
           [](settings& s, text n, text t) {
               s.config.manager.tiers.push_back(uffdmm::parse_tier(t, n));
           }},
    option{"--config", "FILE",
           "JSON configuration; its region, if any, says what areas are like.\n"
           "Options that follow override it",
           [](settings& s, text, text t) { read_config(s, t); }},
    option{"--threshold", "SIZE", "mappings and blocks of malloc from this size on are taken (32M)",
           [](settings& s, text n, text t) { s.threshold = threshold_from(n, t); }},
    option{"--match", "RULE",
           "take|leave[,kind=KIND[|KIND]...][,name=PATTERN][,size=SIZE|MIN..MAX]:\n"
           "the first rule that fits decides; repeatable.\n"
           "Kinds: anonymous, reserved, shared, memfd, file, block",
           [](settings& s, text n, text t) { s.rules.push_back(parse_rule(n, t)); }},
    option{"--list", "",
           "run the program unmanaged, and say of each large mapping whether it\n"
           "would be taken and why",
           [](settings& s, text, text) { s.list = true; }},
    option{"--area", "SIZE",
           "address space that mappings share; larger ones have their own (twice the limit)",
           [](settings& s, text n, text t) {
               s.config.regions.front().size = uffdmm::parse_size(t, n);
           }},
    option{"--stats", "FILE", "write statistics as JSON at the end, and on SIGUSR2",
           [](settings& s, text, text t) { s.stats_file = t; }},
    option{"--control", "SOCK", "make a unix socket there, for --ask",
           [](settings& s, text, text t) { s.control_socket = t; }},
    option{"--ask", "SOCK REQUEST",
           "ask a running program: stats, limit, limit SIZE, list, evict, evict REGION",
           [](settings&, text, text) {}},
    option{"--migrate-locations", "",
           "of QEMU 10.0.2: live migration sends where pages in a shared tier are, not\n"
           "what they hold; on both sides",
           [](settings& s, text, text) { s.migrate_locations = true; }},
    option{"--verbose", "", "say what is taken, and what is not and why",
           [](settings& s, text, text) { s.verbose = true; }},
    option{"--optional", "", "run the program unmanaged where the library cannot start",
           [](settings& s, text, text) { s.optional = true; }},
    option{"--help", "", "print this and exit", [](settings&, text, text) {}},
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

/// "--name value" and "--name=value"; `at` moves behind it.
void apply_option(command_line& line, const std::vector<std::string>& arguments, std::size_t& at) {
    const std::string_view argument = arguments[at++];
    const std::size_t equals = argument.find('=');
    const option& o = find_option(argument.substr(0, equals));
    line.help |= o.name == "--help";
    if (o.argument.empty()) {
        if (equals != std::string_view::npos)
            refuse(o.name, argument.substr(equals + 1), "no value");
        return o.apply(line.asked, o.name, {});
    }
    if (equals != std::string_view::npos)
        return o.apply(line.asked, o.name, argument.substr(equals + 1));
    if (at == arguments.size())
        throw setup_error(uffdmm::errc::invalid_argument,
                          std::string(o.name) + ": needs a value: " + std::string(o.argument));
    o.apply(line.asked, o.name, arguments[at++]);
}

/// The program may change its directory before they are used.
void make_absolute(settings& s) {
    const auto absolute = [](std::string& path) {
        if (!path.empty())
            path = std::filesystem::absolute(path).string();
    };
    absolute(s.stats_file);
    absolute(s.control_socket);
    for (uffdmm::tier_config& tier : s.config.manager.tiers) {
        if (auto* const file = std::get_if<uffdmm::file_tier_config>(&tier); file != nullptr)
            absolute(file->path);
        if (auto* const nbd = std::get_if<uffdmm::nbd_tier_config>(&tier); nbd != nullptr) {
            absolute(nbd->shared_table);
            absolute(nbd->tls_psk_file);
        }
    }
}

/// Whether pages there can be handed over to another host.
bool is_shared(const uffdmm::tier_config& tier) {
    if (const auto* const file = std::get_if<uffdmm::file_tier_config>(&tier); file != nullptr)
        return file->shared;
    const auto* const nbd = std::get_if<uffdmm::nbd_tier_config>(&tier);
    return nbd != nullptr && !nbd->shared_table.empty();
}

void check_locations(const settings& s) {
    const auto& tiers = s.config.manager.tiers;
    if (s.migrate_locations && std::none_of(tiers.begin(), tiers.end(), is_shared))
        throw setup_error(uffdmm::errc::invalid_config,
                          "--migrate-locations: no tier is in a store that other hosts see; "
                          "allowed: with --tier shared:PATH:SIZE, or a tier of --config with "
                          "\"shared\" or \"shared_table\"");
}

void complete(settings& s) {
    make_absolute(s);
    uffdmm::manager_config& manager = s.config.manager;
    uffdmm::region_config& area = s.config.regions.front();
    uffdmm::name_tiers(manager.tiers);
    if (area.size == 0)
        area.size = 2 * manager.limit;
    area.name = "area";
    if (area.kind != uffdmm::backing::private_anonymous)
        throw setup_error(uffdmm::errc::invalid_config,
                          "--config: kind of the region: areas are private_anonymous");
    uffdmm::validate(manager);
    uffdmm::validate(area);
    check_locations(s);
}

command_line parse_question(const std::vector<std::string>& arguments) {
    if (arguments.size() < 3)
        throw setup_error(uffdmm::errc::invalid_argument,
                          "--ask: needs a socket and a request: --ask SOCK stats");
    command_line line;
    line.ask_socket = arguments[1];
    for (std::size_t i = 2; i < arguments.size(); ++i)
        line.ask_words.append(i == 2 ? "" : " ").append(arguments[i]);
    return line;
}

} // namespace

command_line parse_command_line(const std::vector<std::string>& arguments) {
    command_line line;
    line.asked.config.manager.limit = 256 * mebibyte;
    line.asked.config.regions.emplace_back();
    if (!arguments.empty() && arguments[0] == "--ask")
        return parse_question(arguments);
    std::size_t at = 0;
    while (at < arguments.size() && arguments[at].starts_with("--") && arguments[at] != "--")
        apply_option(line, arguments, at);
    if (line.help)
        return line;
    if (at < arguments.size() && arguments[at] == "--")
        ++at;
    line.program.assign(arguments.begin() + static_cast<std::ptrdiff_t>(at), arguments.end());
    if (line.program.empty())
        throw setup_error(uffdmm::errc::invalid_argument,
                          "no program; allowed: uffdmm-run [OPTION]... -- PROGRAM [ARGUMENT]...");
    complete(line.asked);
    return line;
}

std::string help_text() {
    std::string out = "uffdmm-run [OPTION]... -- PROGRAM [ARGUMENT]...\n\n"
                      "Runs a program with its large private memory inside a budget of host "
                      "memory.\n\n";
    for (const option& o : all_options) {
        std::string head = "  " + std::string(o.name) + " " + std::string(o.argument);
        head.resize(22, ' ');
        out += head;
        for (const char c : o.help)
            out += c == '\n' ? "\n" + std::string(22, ' ') : std::string(1, c);
        out += '\n';
    }
    return out;
}

} // namespace preload
