// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <string>

#include "handles.hpp"
#include "sized_struct.hpp"
#include "text.hpp"
#include "uffdmm/engine/histogram.hpp"
#include "uffdmm/stats_json.hpp"

namespace uffdmm::shim {
namespace {

static_assert(UFFDMM_RESOLUTION_ZERO == static_cast<int>(resolution::zero) &&
              UFFDMM_RESOLUTION_STAGED == static_cast<int>(resolution::staged) &&
              UFFDMM_RESOLUTION_SAME_FILLED == static_cast<int>(resolution::same_filled) &&
              UFFDMM_RESOLUTION_MEMORY_TIER == static_cast<int>(resolution::memory_tier) &&
              UFFDMM_RESOLUTION_SLOW_TIER == static_cast<int>(resolution::slow_tier) &&
              UFFDMM_RESOLUTION_UNPROTECT == static_cast<int>(resolution::unprotect) &&
              UFFDMM_RESOLUTION_PRESENT == static_cast<int>(resolution::present) &&
              UFFDMM_RESOLUTION_MINOR == static_cast<int>(resolution::minor) &&
              UFFDMM_RESOLUTION_POISONED == static_cast<int>(resolution::poisoned));
static_assert(UFFDMM_RESOLUTIONS == resolutions);
static_assert(UFFDMM_HISTOGRAM_BUCKETS == histogram_snapshot::buckets);

void set_memory(uffdmm_stats& out, const stats& in) {
    out.limit_bytes = in.limit_bytes;
    out.region_bytes = in.region_bytes;
    out.host_memory_bytes = in.host_memory_bytes;
    out.peak_host_memory_bytes = in.peak_host_memory_bytes;
    out.resident_bytes = in.resident_bytes;
    out.staged_bytes = in.staged_bytes;
    out.compressed_bytes = in.compressed_bytes;
    out.metadata_bytes = in.metadata_bytes;
    out.page_table_bytes = in.page_table_bytes;
    out.metadata_bytes_per_page = in.metadata_bytes_per_page;
    out.over_limit_bytes = in.over_limit_bytes;
    out.poisoned_pages = in.poisoned_pages;
    out.pinned_pages = in.pinned_pages;
}

void set_faults(uffdmm_stats& out, const stats& in) {
    out.faults = in.faults;
    std::copy(in.faults_by_resolution.begin(), in.faults_by_resolution.end(),
              out.faults_by_resolution);
    out.duplicate_faults = in.duplicate_faults;
    out.refaults = in.refaults;
    out.direct_reclaims = in.direct_reclaims;
    out.eagain_retries = in.eagain_retries;
    out.eexist_races = in.eexist_races;
    out.huge_installs = in.huge_installs;
}

void set_reclaim(uffdmm_stats& out, const stats& in) {
    out.evicted_pages = in.evicted_pages;
    out.evict_ioctls = in.evict_ioctls;
    out.busy_pages = in.busy_pages;
    out.dropped_clean = in.dropped_clean;
    out.dropped_zero = in.dropped_zero;
    out.dropped_same_filled = in.dropped_same_filled;
    out.swapped_out = in.swapped_out;
    out.frame_releases = in.frame_releases;
    out.discarded_pages = in.discarded_pages;
    out.prefetched_pages = in.prefetched_pages;
    out.prefetch_hits = in.prefetch_hits;
    out.prefetch_waste = in.prefetch_waste;
    out.one_pass_faults = in.one_pass_faults;
    out.migration_reads = in.migration_reads;
}

/// Every output struct comes with the size its program knows.
template <typename T>
void write_out(const T& value, T* out) {
    require(out, "stats");
    write_struct(value, struct_size_of(out), out, "stats");
}

void write_stats(const stats& in, uffdmm_stats* out) {
    uffdmm_stats c_stats{};
    set_memory(c_stats, in);
    set_faults(c_stats, in);
    set_reclaim(c_stats, in);
    c_stats.tier_count = in.tiers.size();
    write_out(c_stats, out);
}

void write_tier(const tier_stats& in, uffdmm_tier_stats* out) {
    uffdmm_tier_stats c_stats{};
    c_stats.name = in.name.c_str();
    c_stats.pages = in.pages;
    c_stats.stored_bytes = in.stored_bytes;
    c_stats.occupied_bytes = in.occupied_bytes;
    c_stats.memory_bytes = in.memory_bytes;
    c_stats.capacity_bytes = in.capacity_bytes;
    c_stats.reads = in.reads;
    c_stats.writes = in.writes;
    c_stats.rejected = in.rejected;
    c_stats.demoted = in.demoted;
    c_stats.read_errors = in.read_errors;
    c_stats.write_errors = in.write_errors;
    c_stats.corrupt = in.corrupt;
    c_stats.degraded = in.degraded ? 1 : 0;
    write_out(c_stats, out);
}

/// Of one kind of fault, or of all. Throws setup_error for a kind that is none.
histogram_snapshot latency_of(const uffdmm_snapshot* snapshot, int kind) {
    require(snapshot, "snapshot");
    const auto& latencies = snapshot->statistics.fault_latency;
    if (kind < UFFDMM_ANY_RESOLUTION || kind >= UFFDMM_RESOLUTIONS)
        refuse("resolution: " + std::to_string(kind) +
               " is not allowed; allowed: UFFDMM_ANY_RESOLUTION (-1) to " +
               std::to_string(UFFDMM_RESOLUTIONS - 1));
    if (kind != UFFDMM_ANY_RESOLUTION)
        return latencies[static_cast<std::size_t>(kind)];
    histogram_snapshot all;
    for (const histogram_snapshot& latency : latencies)
        all.merge(latency);
    return all;
}

} // namespace
} // namespace uffdmm::shim

using namespace uffdmm::shim;

int uffdmm_manager_stats(const uffdmm_manager* manager, struct uffdmm_stats* stats) noexcept {
    return guarded(__func__, [&] {
        require(manager, "manager");
        write_stats(manager->engine.statistics(), stats);
        return 0;
    });
}

int uffdmm_manager_snapshot(const uffdmm_manager* manager, uffdmm_snapshot** snapshot) noexcept {
    return guarded(__func__, [&] {
        require(manager, "manager");
        require(snapshot, "snapshot");
        *snapshot = new uffdmm_snapshot{manager->engine.statistics()};
        return 0;
    });
}

void uffdmm_snapshot_free(uffdmm_snapshot* snapshot) noexcept {
    delete snapshot;
}

int uffdmm_snapshot_stats(const uffdmm_snapshot* snapshot, struct uffdmm_stats* stats) noexcept {
    return guarded(__func__, [&] {
        require(snapshot, "snapshot");
        write_stats(snapshot->statistics, stats);
        return 0;
    });
}

int uffdmm_snapshot_tier(const uffdmm_snapshot* snapshot, size_t index,
                         struct uffdmm_tier_stats* stats) noexcept {
    return guarded(__func__, [&] {
        require(snapshot, "snapshot");
        const auto& tiers = snapshot->statistics.tiers;
        if (index >= tiers.size())
            throw uffdmm::setup_error(uffdmm::errc::not_found,
                                      "index: there is no tier " + std::to_string(index) +
                                          "; allowed: less than " + std::to_string(tiers.size()));
        write_tier(tiers[index], stats);
        return 0;
    });
}

int uffdmm_snapshot_latency(const uffdmm_snapshot* snapshot, int resolution, double quantile,
                            uint64_t* ns) noexcept {
    return guarded(__func__, [&] {
        const uffdmm::histogram_snapshot latency = latency_of(snapshot, resolution);
        if (!(quantile > 0 && quantile <= 1)) // also false for what is not a number
            refuse("quantile: " + std::to_string(quantile) +
                   " is not allowed; allowed: more than 0, at most 1");
        require(ns, "ns");
        *ns = latency.percentile(quantile);
        return 0;
    });
}

int uffdmm_snapshot_histogram(const uffdmm_snapshot* snapshot, int resolution, uint64_t* counts,
                              size_t buckets, uint64_t* sum_ns) noexcept {
    return guarded(__func__, [&] {
        const uffdmm::histogram_snapshot latency = latency_of(snapshot, resolution);
        if (buckets != 0)
            require(counts, "counts");
        for (std::size_t i = 0; i < buckets; ++i)
            counts[i] = i < latency.counts.size() ? latency.counts[i] : 0;
        if (sum_ns != nullptr)
            *sum_ns = latency.sum_ns;
        return 0;
    });
}

uint64_t uffdmm_histogram_upper_edge(size_t bucket) noexcept {
    return bucket >= UFFDMM_HISTOGRAM_BUCKETS
               ? UINT64_MAX
               : uffdmm::histogram::upper_edge(static_cast<unsigned>(bucket));
}

int uffdmm_snapshot_json(const uffdmm_snapshot* snapshot, char** text) noexcept {
    return guarded(__func__, [&] {
        require(snapshot, "snapshot");
        give_text(uffdmm::to_json(snapshot->statistics), text);
        return 0;
    });
}

const char* uffdmm_resolution_name(int resolution) noexcept {
    return resolution < 0 || resolution >= UFFDMM_RESOLUTIONS
               ? "unknown"
               : uffdmm::to_string(static_cast<uffdmm::resolution>(resolution));
}
