// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/option_values.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include "uffdmm/result.hpp"

namespace overcommit {
namespace {

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

} // namespace overcommit
