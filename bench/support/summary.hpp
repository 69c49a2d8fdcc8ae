// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Order statistics of samples.

#include <vector>

namespace uffdmm::bench {

struct summary {
    double p25 = 0;
    double median = 0;
    double p75 = 0;
    double p99 = 0;
};

/// All zero if there are no samples.
[[nodiscard]] summary summarize(std::vector<double> samples);

} // namespace uffdmm::bench
