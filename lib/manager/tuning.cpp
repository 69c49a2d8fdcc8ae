// SPDX-License-Identifier: BSD-3-Clause
#include "manager/tuning.hpp"

#include <variant>

namespace uffdmm {
namespace {

/// A fault on a staged page takes about as long as one on a compressed page, so where pages are
/// compressed next, memory is of more use in the guest. A disk is worth keeping pages from.
unsigned staged_percent_of(const manager_config& config) {
    if (config.staged_percent != 0)
        return config.staged_percent;
    const bool compressed_next =
        config.tiers.empty() || std::holds_alternative<ram_tier_config>(config.tiers.front());
    return compressed_next ? 3 : 12;
}

} // namespace

shard_tuning tuning_of(const manager_config& config) {
    shard_tuning tuning;
    tuning.staged_percent = staged_percent_of(config);
    tuning.low_watermark_permille = config.low_watermark_permille;
    tuning.high_watermark_permille = config.high_watermark_permille;
    tuning.read_retry_ns =
        static_cast<std::uint64_t>(std::chrono::nanoseconds(config.read_retry_time).count());
    tuning.when_full = config.when_full;
    return tuning;
}

} // namespace uffdmm
