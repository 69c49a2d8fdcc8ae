// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Histogram of durations that a shard thread fills and anybody may read meanwhile.
///
/// Values below 8 have a bucket each; above, every power of two is split into 8 buckets, so a
/// bucket is at most an eighth as wide as its lower edge. The last bucket takes everything from
/// about 2^63 ns on.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "uffdmm/engine/counter.hpp"
#include "uffdmm/stats.hpp"

namespace uffdmm {

/// record(): the owning shard's thread. snapshot(): any thread. Never allocates.
class histogram {
  public:
    static constexpr unsigned sub_bits = histogram_snapshot::sub_bits;
    static constexpr unsigned buckets = histogram_snapshot::buckets;

    [[nodiscard]] static constexpr unsigned bucket_of(std::uint64_t ns) noexcept {
        constexpr std::uint64_t exact = std::uint64_t{1} << sub_bits;
        if (ns < exact)
            return static_cast<unsigned>(ns);
        const unsigned shift = static_cast<unsigned>(std::bit_width(ns)) - 1 - sub_bits;
        const auto sub = static_cast<unsigned>((ns >> shift) & (exact - 1));
        return std::min(((shift + 1) << sub_bits) + sub, buckets - 1);
    }

    /// Largest value in `bucket`.
    [[nodiscard]] static constexpr std::uint64_t upper_edge(unsigned bucket) noexcept {
        constexpr unsigned exact = 1u << sub_bits;
        if (bucket < exact)
            return bucket;
        if (bucket >= buckets - 1)
            return UINT64_MAX;
        const unsigned shift = (bucket >> sub_bits) - 1;
        const std::uint64_t lower = std::uint64_t{exact | (bucket & (exact - 1))} << shift;
        return lower + ((std::uint64_t{1} << shift) - 1);
    }

    void record(std::uint64_t ns) noexcept {
        ++counts_[bucket_of(ns)];
        sum_ns_ += ns;
    }

    [[nodiscard]] histogram_snapshot snapshot() const noexcept {
        histogram_snapshot copy;
        for (unsigned i = 0; i < buckets; ++i)
            copy.counts[i] = counts_[i].load();
        copy.sum_ns = sum_ns_.load();
        return copy;
    }

  private:
    std::array<counter, buckets> counts_;
    counter sum_ns_;
};

} // namespace uffdmm
