// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/text.hpp"

#include <array>
#include <cstdio>

namespace overcommit {
namespace {

/// Three significant digits with the unit that keeps the number below `step`.
template <std::size_t N>
std::string scaled(double number, double step, const std::array<const char*, N>& units) {
    std::size_t unit = 0;
    // 999.5 would be shown as 1000.
    for (; unit + 1 < N && number >= (step == 1024 ? step : 999.5); ++unit)
        number /= step;
    const int digits = unit == 0 || number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
    return fixed_text(number, digits) + units[unit];
}

} // namespace

std::string fixed_text(double number, int digits) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.*f", digits, number);
    return text.data();
}

std::string bytes_text(uffdmm::byte_count bytes) {
    constexpr std::array units{" B", " KiB", " MiB", " GiB", " TiB"};
    return scaled(static_cast<double>(bytes), 1024, units);
}

std::string count_text(double count) {
    constexpr std::array units{"", " k", " M", " G"};
    return scaled(count, 1000, units);
}

std::string time_text(double nanoseconds) {
    constexpr std::array units{" ns", " us", " ms", " s"};
    return scaled(nanoseconds, 1000, units);
}

} // namespace overcommit
