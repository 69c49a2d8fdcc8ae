// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Checks of single option values that a C struct can hold and a C++ one cannot.

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>

#include "errors.hpp"

namespace uffdmm::shim {

/// What a value of an enum is called in messages.
struct named_value {
    std::int32_t value;
    const char* name;
};

inline void check_enum(const std::string& path, std::int32_t value,
                       std::initializer_list<named_value> allowed) {
    std::string list;
    for (const named_value& candidate : allowed) {
        if (candidate.value == value)
            return;
        list.append(list.empty() ? "" : ", ").append(candidate.name);
        list.append(" (").append(std::to_string(candidate.value)).append(")");
    }
    refuse(path + ": " + std::to_string(value) + " is not allowed; allowed: " + list);
}

[[nodiscard]] inline bool to_flag(const std::string& path, std::uint32_t value) {
    if (value > 1)
        refuse(path + ": " + std::to_string(value) + " is not allowed; allowed: 0, 1");
    return value == 1;
}

/// Room for options of later versions.
inline void check_reserved(const std::string& path, std::uint32_t value) {
    if (value != 0)
        throw too_new(path + ": " + std::to_string(value) +
                      " is an option that this version of the library does not know; allowed: 0");
}

/// The value, or the longest duration there is, which validate() refuses.
template <typename Duration>
[[nodiscard]] Duration to_duration(std::uint64_t value) {
    constexpr auto most = std::numeric_limits<typename Duration::rep>::max();
    return Duration(value > static_cast<std::uint64_t>(most)
                        ? most
                        : static_cast<typename Duration::rep>(value));
}

/// `text`, or `otherwise` for NULL.
[[nodiscard]] inline std::string to_text(const char* text, const std::string& otherwise) {
    return text != nullptr ? text : otherwise;
}

} // namespace uffdmm::shim
