// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/zipf.hpp"

#include <algorithm>
#include <cmath>

namespace overcommit {

zipf_distribution::zipf_distribution(std::uint64_t ranks, double skew)
    : ranks_(static_cast<double>(ranks)), skew_(skew), integral_first_(integral(1.5) - 1.0),
      integral_last_(integral(ranks_ + 0.5)),
      sure_(2.0 - inverse_integral(integral(2.5) - weight(2.0))) {
}

std::uint64_t zipf_distribution::sample(random_source& random) const noexcept {
    for (;;) {
        const double y = integral_last_ + random.unit() * (integral_first_ - integral_last_);
        const double x = inverse_integral(y);
        const double rank = std::clamp(std::floor(x + 0.5), 1.0, ranks_);
        if (rank - x <= sure_ || y >= integral(rank + 0.5) - weight(rank))
            return static_cast<std::uint64_t>(rank);
    }
}

/// Of x^-skew, from 1.
double zipf_distribution::integral(double x) const noexcept {
    const double log_x = std::log(x);
    const double e = (1.0 - skew_) * log_x;
    return std::abs(e) < 1e-9 ? log_x : std::expm1(e) / (1.0 - skew_);
}

double zipf_distribution::inverse_integral(double y) const noexcept {
    const double e = y * (1.0 - skew_);
    return std::abs(e) < 1e-9 ? std::exp(y)
                              : std::exp(std::log1p(std::max(e, -1.0)) / (1.0 - skew_));
}

double zipf_distribution::weight(double x) const noexcept {
    return std::exp(-skew_ * std::log(x));
}

} // namespace overcommit
