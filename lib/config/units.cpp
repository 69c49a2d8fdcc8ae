// SPDX-License-Identifier: BSD-3-Clause
#include "config/units.hpp"

#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "config/refusal.hpp"
#include "uffdmm/config.hpp"

namespace uffdmm {
namespace {

struct unit {
    std::string_view suffix;
    std::uint64_t factor;
};

constexpr std::array<unit, 5> size_units{{{"T", std::uint64_t{1} << 40},
                                          {"G", std::uint64_t{1} << 30},
                                          {"M", std::uint64_t{1} << 20},
                                          {"K", std::uint64_t{1} << 10},
                                          {"", 1}}};
constexpr std::array<unit, 4> duration_units{
    {{"s", 1'000'000'000}, {"ms", 1'000'000}, {"us", 1'000}, {"ns", 1}}};

constexpr std::string_view size_form =
    "a whole number of bytes, or one followed by K, M, G or T (powers of 1024), such as \"256M\", "
    "below 16777216T";
constexpr std::string_view duration_form =
    "a whole number followed by ns, us, ms or s, such as \"20us\", below 290 years";

/// Digits followed by the suffix of one unit, times its factor, at most `most`.
template <std::size_t N>
std::optional<std::uint64_t> parse(std::string_view text, const std::array<unit, N>& units,
                                   std::uint64_t most) {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, status] = std::from_chars(text.data(), end, number);
    if (status != std::errc{})
        return std::nullopt;
    const std::string_view suffix(rest, static_cast<std::size_t>(end - rest));
    for (const unit& u : units)
        if (u.suffix == suffix && number <= most / u.factor)
            return number * u.factor;
    return std::nullopt;
}

template <std::size_t N>
std::string text_of(std::uint64_t number, const std::array<unit, N>& units) {
    for (const unit& u : units)
        if (number % u.factor == 0 && (number != 0 || u.factor == units.back().factor))
            return std::to_string(number / u.factor) + std::string(u.suffix);
    return std::to_string(number);
}

} // namespace

byte_count parse_size(std::string_view text, std::string_view key) {
    const auto bytes = parse(text, size_units, std::numeric_limits<std::uint64_t>::max());
    if (!bytes)
        refuse(key, in_quotes(text), size_form);
    return *bytes;
}

std::chrono::nanoseconds parse_duration(std::string_view text, std::string_view key) {
    constexpr auto most = static_cast<std::uint64_t>(std::chrono::nanoseconds::max().count());
    const auto ns = parse(text, duration_units, most);
    if (!ns)
        refuse(key, in_quotes(text), duration_form);
    return std::chrono::nanoseconds(static_cast<std::int64_t>(*ns));
}

std::string size_text(byte_count bytes) {
    return text_of(bytes, size_units);
}

std::string duration_text(std::chrono::nanoseconds duration) {
    return text_of(static_cast<std::uint64_t>(duration.count()), duration_units);
}

} // namespace uffdmm
