// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Statistics as plain structs. Reading them takes no lock that a shard thread takes, and does not
/// disturb one: every counter has one writer, so sums over shards are each exact but not from one
/// instant.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "uffdmm/export.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Histogram of durations in ns: 8 buckets per power of two, so percentiles are within 12.5 %.
struct UFFDMM_CXX_API histogram_snapshot {
    static constexpr unsigned sub_bits = 3;
    static constexpr unsigned buckets = (64 - sub_bits) << sub_bits;
    std::array<std::uint64_t, buckets> counts{};
    std::uint64_t sum_ns = 0;

    [[nodiscard]] std::uint64_t count() const;
    /// Upper edge of the bucket holding the p-quantile (0 < p <= 1); 0 if empty.
    [[nodiscard]] std::uint64_t percentile(double p) const;
    [[nodiscard]] double mean() const;
    void merge(const histogram_snapshot& other);
};

/// How a fault was resolved.
enum class resolution : std::uint8_t {
    zero,        ///< untouched page
    staged,      ///< taken back from the staged list
    same_filled, ///< rebuilt from its pattern
    memory_tier, ///< loaded by a synchronous tier
    slow_tier,   ///< loaded by an asynchronous tier
    unprotect,   ///< first write to a clean page
    present,     ///< it was there already: woken only
    minor,       ///< shmem page in the page cache, mapped only
    poisoned     ///< lost contents
};
inline constexpr unsigned resolutions = 9;
[[nodiscard]] UFFDMM_CXX_API const char* to_string(resolution kind) noexcept;

struct tier_stats {
    std::string name;
    std::uint64_t pages = 0;
    byte_count stored_bytes = 0;
    byte_count occupied_bytes = 0;
    byte_count memory_bytes = 0;
    byte_count capacity_bytes = 0;
    std::uint64_t reads = 0;    ///< pages loaded
    std::uint64_t writes = 0;   ///< pages stored
    std::uint64_t rejected = 0; ///< pages passed on to the next tier
    std::uint64_t demoted = 0;  ///< pages moved from here to a lower tier
    std::uint64_t read_errors = 0;
    std::uint64_t write_errors = 0;
    std::uint64_t corrupt = 0; ///< checksum or generation mismatches
    bool degraded = false;     ///< writes fail or it is full: skipped for now
};

struct stats {
    // Memory, bytes. host_memory = resident + staged + tiers' memory + metadata.
    byte_count limit_bytes = 0;
    byte_count region_bytes = 0;
    byte_count host_memory_bytes = 0;
    byte_count peak_host_memory_bytes = 0;
    byte_count resident_bytes = 0;
    byte_count staged_bytes = 0;     ///< staged pages, and frames not yet given back
    byte_count compressed_bytes = 0; ///< memory of tiers that count in the limit
    byte_count metadata_bytes = 0;   ///< page tables, staging descriptors, buffers
    byte_count page_table_bytes = 0; ///< part of metadata_bytes: 16 bytes per page of the regions
    double metadata_bytes_per_page = 0;
    byte_count over_limit_bytes = 0; ///< now; nonzero only after over_limit events
    byte_count poisoned_pages = 0;
    byte_count pinned_pages = 0;

    // Faults.
    std::uint64_t faults = 0; ///< messages answered
    std::array<std::uint64_t, resolutions> faults_by_resolution{};
    std::array<histogram_snapshot, resolutions> fault_latency{}; ///< from read to resolution
    std::uint64_t duplicate_faults = 0;
    std::uint64_t refaults = 0;        ///< faults on pages evicted before
    std::uint64_t direct_reclaims = 0; ///< faults that had to wait for a free frame
    std::uint64_t eagain_retries = 0;
    std::uint64_t eexist_races = 0;
    std::uint64_t huge_installs = 0; ///< huge pages mapped, each for one fault

    // Reclaim.
    std::uint64_t evicted_pages = 0; ///< out of the guest
    std::uint64_t evict_ioctls = 0;  ///< flushes they took
    std::uint64_t busy_pages = 0;    ///< refused by the kernel because pinned
    std::uint64_t dropped_clean = 0; ///< left memory without a write
    std::uint64_t dropped_zero = 0;
    std::uint64_t dropped_same_filled = 0;
    std::uint64_t swapped_out = 0;    ///< written to a tier
    std::uint64_t frame_releases = 0; ///< calls that gave frames back
    std::uint64_t discarded_pages = 0;

    // Prefetch.
    std::uint64_t prefetched_pages = 0;
    std::uint64_t prefetch_hits = 0;
    std::uint64_t prefetch_waste = 0;

    /// Faults of threads that read memory once from end to end (a migration, a dump): what they
    /// bring in is evicted first and says nothing of the guest's working set.
    std::uint64_t one_pass_faults = 0;

    // Migration.
    std::uint64_t migration_reads = 0; ///< pages read for one, which stayed where they were

    std::vector<tier_stats> tiers; ///< in chain order; the first is "same-filled"
};

} // namespace uffdmm
