// SPDX-License-Identifier: BSD-3-Clause
#include "support/summary.hpp"

#include <algorithm>

namespace uffdmm::bench {

summary summarize(std::vector<double> samples) {
    if (samples.empty())
        return {};
    std::sort(samples.begin(), samples.end());
    const auto at = [&](double p) {
        return samples[static_cast<std::size_t>(p * static_cast<double>(samples.size() - 1))];
    };
    return {at(0.25), at(0.5), at(0.75), at(0.99)};
}

} // namespace uffdmm::bench
