// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Sizes and durations as text: "256M", "20us".

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "uffdmm/types.hpp"

namespace uffdmm {

/// "256M" where that is exact, else the number of bytes.
[[nodiscard]] std::string size_text(byte_count bytes);

/// "20us" → 20000 ns. Units ns, us, ms, s, without space. Throws setup_error naming `key`.
[[nodiscard]] std::chrono::nanoseconds parse_duration(std::string_view text, std::string_view key);

/// The largest unit that is exact: "20us", "2s"; "0s".
[[nodiscard]] std::string duration_text(std::chrono::nanoseconds duration);

} // namespace uffdmm
