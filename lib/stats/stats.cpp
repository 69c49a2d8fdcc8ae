// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/stats.hpp"

#include "uffdmm/page_record.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "uffdmm/engine/histogram.hpp"

namespace uffdmm {

std::uint64_t histogram_snapshot::count() const {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::uint64_t histogram_snapshot::percentile(double p) const {
    const std::uint64_t total = count();
    if (total == 0)
        return 0;
    const double wanted = std::ceil(std::clamp(p, 0.0, 1.0) * static_cast<double>(total));
    const auto rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1, total);
    std::uint64_t seen = 0;
    for (unsigned i = 0; i < buckets; ++i) {
        seen += counts[i];
        if (seen >= rank)
            return histogram::upper_edge(i);
    }
    return UINT64_MAX;
}

double histogram_snapshot::mean() const {
    const std::uint64_t total = count();
    return total == 0 ? 0 : static_cast<double>(sum_ns) / static_cast<double>(total);
}

void histogram_snapshot::merge(const histogram_snapshot& other) {
    for (unsigned i = 0; i < buckets; ++i)
        counts[i] += other.counts[i];
    sum_ns += other.sum_ns;
}

const char* to_string(resolution kind) noexcept {
    switch (kind) {
    case resolution::zero:
        return "zero";
    case resolution::staged:
        return "staged";
    case resolution::same_filled:
        return "same_filled";
    case resolution::memory_tier:
        return "memory_tier";
    case resolution::slow_tier:
        return "slow_tier";
    case resolution::unprotect:
        return "unprotect";
    case resolution::present:
        return "present";
    case resolution::minor:
        return "minor";
    case resolution::poisoned:
        return "poisoned";
    }
    return "unknown";
}

const char* to_string(page_kind kind) noexcept {
    switch (kind) {
    case page_kind::untouched:
        return "untouched";
    case page_kind::same_filled:
        return "same_filled";
    case page_kind::resident:
        return "resident";
    case page_kind::swapped:
        return "swapped";
    case page_kind::located:
        return "located";
    case page_kind::lost:
        return "lost";
    case page_kind::unreadable:
        return "unreadable";
    }
    return "unknown";
}

} // namespace uffdmm
