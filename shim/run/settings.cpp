// SPDX-License-Identifier: BSD-3-Clause
#include "run/settings.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace preload {
namespace {

constexpr const char* config_variable = "UFFDMM_RUN_CONFIG";
constexpr const char* threshold_variable = "UFFDMM_RUN_THRESHOLD";
constexpr const char* stats_variable = "UFFDMM_RUN_STATS";
constexpr const char* control_variable = "UFFDMM_RUN_CONTROL";
constexpr const char* match_variable = "UFFDMM_RUN_MATCH"; ///< rules, a line each
constexpr const char* modes_variable = "UFFDMM_RUN_MODES";
constexpr const char* socket_variable = "UFFDMM_RUN_SOCKET"; ///< identity of a control server

std::string value_of(const char* variable) {
    const char* const text = std::getenv(variable);
    return text == nullptr ? std::string() : std::string(text);
}

bool has_mode(std::string_view modes, std::string_view mode) {
    return modes.find(mode) != std::string_view::npos;
}

std::string lines_of(const std::vector<match_rule>& rules) {
    std::string lines;
    for (const match_rule& rule : rules)
        lines.append(rule.text).append("\n");
    return lines;
}

std::vector<match_rule> rules_of(std::string_view lines) {
    std::vector<match_rule> rules;
    for (std::size_t end = 0; (end = lines.find('\n')) != std::string_view::npos;
         lines.remove_prefix(end + 1))
        rules.push_back(parse_rule("--match", lines.substr(0, end)));
    return rules;
}

} // namespace

std::size_t smallest_taken(const settings& s) noexcept {
    std::size_t bytes = s.threshold;
    for (const match_rule& rule : s.rules)
        if (rule.take && rule.least != 0)
            bytes = std::min(bytes, rule.least);
    return bytes;
}

std::vector<std::string> variables_of(const settings& s) {
    const std::string modes = std::string(s.verbose ? "verbose " : "") + (s.list ? "list " : "") +
                              (s.optional ? "optional " : "") + (s.inherited ? "inherited " : "") +
                              (s.migrate_locations ? "locations " : "");
    const auto variable = [](const char* name, const std::string& value) {
        return std::string(name).append("=").append(value);
    };
    return {variable(config_variable, to_json(s.config)),
            variable(threshold_variable, std::to_string(s.threshold)),
            variable(stats_variable, s.stats_file),
            variable(control_variable, s.control_socket),
            variable(socket_variable, s.heir_of),
            variable(match_variable, lines_of(s.rules)),
            variable(modes_variable, modes)};
}

void to_environment(const settings& s, const std::string& library) {
    for (const std::string& variable : variables_of(s)) {
        const std::size_t equals = variable.find('=');
        ::setenv(variable.substr(0, equals).c_str(), variable.c_str() + equals + 1, 1);
    }
    const std::string before = value_of(preload_variable);
    ::setenv(before_variable, before.c_str(), 1);
    ::setenv(preload_variable, (before.empty() ? library : library + ":" + before).c_str(), 1);
}

std::string library_in_environment() {
    const std::string all = value_of(preload_variable);
    return all.substr(0, all.find(':'));
}

bool in_environment() {
    return std::getenv(config_variable) != nullptr;
}

settings from_environment() {
    settings s;
    const std::string modes = value_of(modes_variable);
    s.verbose = has_mode(modes, "verbose");
    s.list = has_mode(modes, "list");
    s.rules = rules_of(value_of(match_variable));
    s.migrate_locations = has_mode(modes, "locations");
    s.inherited = has_mode(modes, "inherited");
    s.heir_of = value_of(socket_variable);
    s.optional = has_mode(modes, "optional");
    s.threshold = uffdmm::parse_size(value_of(threshold_variable), threshold_variable);
    s.stats_file = value_of(stats_variable);
    s.control_socket = value_of(control_variable);
    s.config = uffdmm::parse_config(value_of(config_variable), config_variable);
    return s;
}

void clear_environment() {
    if (const std::string before = value_of(before_variable); before.empty())
        ::unsetenv(preload_variable);
    else
        ::setenv(preload_variable, before.c_str(), 1);
    for (const char* variable :
         {config_variable, threshold_variable, stats_variable, control_variable, socket_variable,
          match_variable, modes_variable, before_variable})
        ::unsetenv(variable);
}

} // namespace preload
