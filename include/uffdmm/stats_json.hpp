// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Statistics as JSON, for reports and control sockets.

#include <string>

#include "uffdmm/export.hpp"
#include "uffdmm/stats.hpp"

namespace uffdmm {

/// One object with the names of the members of `stats`. Counts by kind are objects keyed by
/// to_string(resolution); a latency is {count, mean, p50, p90, p99, p999} in ns. Kinds of fault
/// that never happened have no latency.
[[nodiscard]] UFFDMM_CXX_API std::string to_json(const stats& statistics);

} // namespace uffdmm
