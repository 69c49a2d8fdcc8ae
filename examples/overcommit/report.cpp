// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/report.hpp"

namespace overcommit {
namespace {

using uffdmm::stats;
using uffdmm::tier_stats;

constexpr std::uint64_t stats::*counters[] = {
    &stats::faults,           &stats::duplicate_faults, &stats::refaults,
    &stats::direct_reclaims,  &stats::eagain_retries,   &stats::eexist_races,
    &stats::evicted_pages,    &stats::evict_ioctls,     &stats::busy_pages,
    &stats::dropped_clean,    &stats::dropped_zero,     &stats::dropped_same_filled,
    &stats::swapped_out,      &stats::frame_releases,   &stats::discarded_pages,
    &stats::prefetched_pages, &stats::prefetch_hits,    &stats::prefetch_waste};

constexpr std::uint64_t tier_stats::*tier_counters[] = {
    &tier_stats::reads,   &tier_stats::writes,      &tier_stats::rejected,
    &tier_stats::demoted, &tier_stats::read_errors, &tier_stats::write_errors,
    &tier_stats::corrupt};

void subtract(const uffdmm::histogram_snapshot& before, uffdmm::histogram_snapshot& from) {
    for (unsigned i = 0; i < uffdmm::histogram_snapshot::buckets; ++i)
        from.counts[i] -= before.counts[i];
    from.sum_ns -= before.sum_ns;
}

} // namespace

uffdmm::stats between(const stats& before, const stats& after) {
    stats difference = after;
    for (const auto counter : counters)
        difference.*counter -= before.*counter;
    for (unsigned i = 0; i < uffdmm::resolutions; ++i) {
        difference.faults_by_resolution[i] -= before.faults_by_resolution[i];
        subtract(before.fault_latency[i], difference.fault_latency[i]);
    }
    for (std::size_t i = 0; i < before.tiers.size() && i < after.tiers.size(); ++i)
        for (const auto counter : tier_counters)
            difference.tiers[i].*counter -= before.tiers[i].*counter;
    return difference;
}

} // namespace overcommit
