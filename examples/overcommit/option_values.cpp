// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/option_values.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <sstream>

#include "uffdmm/result.hpp"

namespace overcommit {
namespace {

constexpr std::array<std::string_view, 2> codecs{"lz4", "zstd"};
constexpr std::string_view tier_forms = "ram:SIZE, ram:SIZE:lz4, ram:SIZE:zstd or file:PATH:SIZE, "
                                        "with sizes like 64M";

template <typename Number>
bool parse(std::string_view text, Number& number) {
    const char* end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    return error == std::errc{} && stopped == end;
}

std::string shown(double number) {
    std::ostringstream out;
    out << number;
    return out.str();
}

uffdmm::tier_config ram_tier(std::string_view option, std::string_view text) {
    uffdmm::ram_tier_config tier;
    const std::size_t colon = text.find(':');
    if (text.empty() || colon == 0)
        refuse_value(option, "ram:" + std::string(text), tier_forms);
    tier.size = size_in_bytes(option, text.substr(0, colon));
    if (colon != std::string_view::npos)
        tier.compression =
            static_cast<uffdmm::codec>(name_in(option, text.substr(colon + 1), codecs));
    return tier;
}

uffdmm::tier_config file_tier(std::string_view option, std::string_view text) {
    uffdmm::file_tier_config tier;
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size())
        refuse_value(option, "file:" + std::string(text), tier_forms);
    tier.path = text.substr(0, colon);
    tier.size = size_in_bytes(option, text.substr(colon + 1));
    return tier;
}

} // namespace

void refuse_value(std::string_view option, std::string_view value, std::string_view allowed) {
    std::string message(option);
    message.append(": \"").append(value).append("\" is not allowed; allowed: ").append(allowed);
    throw uffdmm::setup_error(uffdmm::errc::invalid_argument, message);
}

std::uint64_t whole_number(std::string_view option, std::string_view text, std::uint64_t low,
                           std::uint64_t high) {
    std::uint64_t number = 0;
    if (!parse(text, number) || number < low || number > high)
        refuse_value(option, text,
                     "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
    return number;
}

double decimal_number(std::string_view option, std::string_view text, double low, double high) {
    double number = 0;
    if (!parse(text, number) || !std::isfinite(number) || number < low || number > high)
        refuse_value(option, text, "a number from " + shown(low) + " to " + shown(high));
    return number;
}

std::size_t name_in(std::string_view option, std::string_view text,
                    std::span<const std::string_view> names) {
    const auto found = std::find(names.begin(), names.end(), text);
    if (found != names.end())
        return static_cast<std::size_t>(found - names.begin());
    std::string allowed;
    for (std::string_view name : names)
        allowed.append(allowed.empty() ? "" : ", ").append(name);
    refuse_value(option, text, allowed);
}

uffdmm::byte_count size_in_bytes(std::string_view option, std::string_view text) {
    return uffdmm::parse_size(text, option);
}

uffdmm::tier_config tier_from(std::string_view option, std::string_view text) {
    if (text.starts_with("ram:"))
        return ram_tier(option, text.substr(4));
    if (text.starts_with("file:"))
        return file_tier(option, text.substr(5));
    refuse_value(option, text, tier_forms);
}

} // namespace overcommit
