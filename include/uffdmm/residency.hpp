// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "uffdmm/export.hpp"

namespace uffdmm {

/// State of a run of pages as seen by query(). Pages change while the caller looks: only a pinned
/// page or a stopped guest keeps its answer true.
enum class residency : std::uint8_t { untouched, resident, staged, swapped, poisoned };
[[nodiscard]] UFFDMM_CXX_API const char* to_string(residency state) noexcept;

} // namespace uffdmm
