// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Numbers for people.

#include <cstdint>
#include <string>

#include "uffdmm/types.hpp"

namespace overcommit {

[[nodiscard]] std::string bytes_text(uffdmm::byte_count bytes); ///< "256 MiB", "1.5 GiB"
[[nodiscard]] std::string count_text(double count);             ///< "812", "41.3 k", "2.10 M"
[[nodiscard]] std::string time_text(double nanoseconds);        ///< "85 ns", "39.2 us", "1.40 ms"
[[nodiscard]] std::string fixed_text(double number, int digits);

} // namespace overcommit
