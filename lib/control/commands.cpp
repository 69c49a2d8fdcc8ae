// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <array>
#include <cstring>

#include "config/document.hpp"
#include "config/refusal.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/control.hpp"

namespace uffdmm {
namespace {

json refusal(const error& failure) {
    std::string text = failure.operation;
    text.append(" (").append(to_string(failure.code));
    if (failure.os_errno != 0)
        text.append(", ").append(::strerrordesc_np(failure.os_errno));
    return {{"error", text + ")"}};
}

json statistics(control_target& target, const json&) {
    return {{"result", json::parse(target.statistics())}};
}

byte_count bytes_of(const json& value) {
    const auto number = value.is_string() ? parse_size(value.get_ref<const std::string&>(), "bytes")
                                          : as_whole_number(value);
    if (!number || *number < least_limit)
        refuse("bytes", shown(value), "4M or more, as a number or as a string such as \"256M\"");
    return *number;
}

json limit(control_target& target, const json& request) {
    if (const auto bytes = request.find("bytes"); bytes != request.end())
        if (const result<void> done = target.set_limit(bytes_of(*bytes)); !done)
            return refusal(done.failure());
    return {{"result", {{"limit_bytes", target.limit()}}}};
}

json described(const control_region& region) {
    return {{"name", region.name},
            {"address", region.address},
            {"bytes", region.bytes},
            {"untouched_bytes", region.untouched_bytes},
            {"resident_bytes", region.resident_bytes},
            {"staged_bytes", region.staged_bytes},
            {"swapped_bytes", region.swapped_bytes},
            {"poisoned_bytes", region.poisoned_bytes}};
}

json list(control_target& target, const json&) {
    const auto regions = target.regions();
    if (!regions)
        return refusal(regions.failure());
    json shown_regions = json::array();
    for (const control_region& region : regions.value())
        shown_regions.push_back(described(region));
    return {{"result", {{"regions", std::move(shown_regions)}}}};
}

json evict(control_target& target, const json& request) {
    std::string region;
    if (const auto given = request.find("region"); given != request.end()) {
        region = read_text(*given, "region", "the name of a region, as \"list\" shows them");
        if (region.empty())
            refuse("region", "\"\"", "the name of a region, as \"list\" shows them");
    }
    const auto evicted = target.evict(region);
    if (!evicted)
        return refusal(evicted.failure());
    return {{"result", {{"evicted_bytes", evicted.value()}}}};
}

struct command {
    std::string_view name;
    std::string_view key; ///< what else the request may have; "": nothing
    json (*answer)(control_target& target, const json& request);
};

constexpr std::array commands{
    command{"stats", "", statistics},
    command{"limit", "bytes", limit},
    command{"list", "", list},
    command{"evict", "region", evict},
};

std::array<std::string_view, commands.size()> command_names() {
    std::array<std::string_view, commands.size()> names;
    std::transform(commands.begin(), commands.end(), names.begin(),
                   [](const command& c) { return c.name; });
    return names;
}

const command& command_of(const json& request) {
    const auto name = request.find("command");
    if (name == request.end())
        refuse_combination("command", "the key is required; allowed: " + joined(command_names()));
    const std::string text = read_text(*name, "command", joined(command_names()));
    for (const command& c : commands)
        if (c.name == text)
            return c;
    refuse_name("command", text, command_names());
}

json answer(control_target& target, std::string_view text) {
    const json request = parse_document(text);
    if (!request.is_object())
        refuse("request", shown(request), "an object, such as {\"command\": \"stats\"}");
    const command& asked = command_of(request);
    const std::array<std::string_view, 2> keys{"command", asked.key};
    for (const auto& item : request.items())
        if (item.key() != keys[0] && (asked.key.empty() || item.key() != asked.key))
            refuse_key("request", item.key(), std::span(keys).first(asked.key.empty() ? 1 : 2));
    return asked.answer(target, request);
}

} // namespace

/// What is not UTF-8 (a path in a message) must not end in an exception.
std::string answer_control(control_target& target, std::string_view request) {
    json given;
    try {
        given = answer(target, request);
    } catch (const std::exception& e) {
        given = {{"error", e.what()}};
    }
    return given.dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace uffdmm
