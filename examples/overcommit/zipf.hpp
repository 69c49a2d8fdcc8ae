// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Zipf-distributed ranks by rejection-inversion (Hörmann and Derflinger, 1996): no table, and less
/// than 1.1 tries a sample whatever the number of ranks.

#include <cstdint>

#include "overcommit/random.hpp"

namespace overcommit {

class zipf_distribution {
  public:
    /// Ranks 1 .. `ranks`; rank k has a weight of k^-skew. skew > 0; 0.99 is what caches are
    /// usually measured with.
    zipf_distribution(std::uint64_t ranks, double skew);

    [[nodiscard]] std::uint64_t sample(random_source& random) const noexcept;

  private:
    [[nodiscard]] double integral(double x) const noexcept;
    [[nodiscard]] double inverse_integral(double y) const noexcept;
    [[nodiscard]] double weight(double x) const noexcept;

    double ranks_;
    double skew_;
    double integral_first_;
    double integral_last_;
    double sure_; ///< a point this close to its rank is accepted without a look at the weights
};

} // namespace overcommit
