// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Values of command-line options. Every function throws uffdmm::setup_error with a message that
/// names the option, the value, and what is allowed.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "uffdmm/config.hpp"

namespace overcommit {

/// "<option>: "<value>" is not allowed; allowed: <allowed>"
[[noreturn]] void refuse_value(std::string_view option, std::string_view value,
                               std::string_view allowed);

/// A whole number from low to high.
[[nodiscard]] std::uint64_t whole_number(std::string_view option, std::string_view text,
                                         std::uint64_t low, std::uint64_t high);

/// A decimal number from low to high.
[[nodiscard]] double decimal_number(std::string_view option, std::string_view text, double low,
                                    double high);

/// Index of `text` in `names`.
[[nodiscard]] std::size_t name_in(std::string_view option, std::string_view text,
                                  std::span<const std::string_view> names);

/// "256M" → bytes.
[[nodiscard]] uffdmm::byte_count size_in_bytes(std::string_view option, std::string_view text);

} // namespace overcommit
