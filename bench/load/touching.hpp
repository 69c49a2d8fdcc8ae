// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The threads that touch memory, and what they measure.

#include <atomic>
#include <chrono>
#include <cstdint>

#include "load/options.hpp"
#include "uffdmm/stats.hpp"

namespace load {

/// What one phase did, all threads together.
struct phase_figures {
    std::uint64_t touches = 0;
    std::uint64_t wrong = 0; ///< pages that did not hold what they must
    double seconds = 0;
    uffdmm::histogram_snapshot latency; ///< of a touch: one load or store
};

/// Touches every page once in order, the threads each a part of the region.
[[nodiscard]] phase_figures populate(const options& asked, std::byte* memory);

/// The pattern for a time. `seed` tells phases apart.
[[nodiscard]] phase_figures run_pattern(const options& asked, std::byte* memory,
                                        std::chrono::nanoseconds duration, std::uint64_t seed);

} // namespace load
