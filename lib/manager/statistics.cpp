// SPDX-License-Identifier: BSD-3-Clause
#include "manager/statistics.hpp"

#include <algorithm>

namespace uffdmm {
namespace {

void add_same_filled(tier_stats& to, const shard_counters& from) {
    to.pages += from.same_filled_pages.load();
    to.reads += from.same_filled_reads.load();
    to.writes += from.dropped_same_filled.load();
}

void add_tier(tier_stats& to, const tier_counters& from) {
    to.pages += from.pages.load();
    to.stored_bytes += from.stored_bytes.load();
    to.occupied_bytes += from.occupied_bytes.load();
    to.memory_bytes += from.memory_bytes.load();
    to.capacity_bytes += from.capacity_bytes.load();
    to.reads += from.reads.load();
    to.writes += from.writes.load();
    to.rejected += from.rejected.load();
    to.demoted += from.demoted.load();
    to.read_errors += from.read_errors.load();
    to.write_errors += from.write_errors.load();
    to.corrupt += from.corrupt.load();
    to.degraded |= from.degraded.load() != 0;
}

void add_memory(stats& to, const shard<linux_kernel>& from) {
    const shard_counters& c = from.counters();
    to.host_memory_bytes += static_cast<byte_count>(std::max<std::int64_t>(from.money().used(), 0));
    to.resident_bytes += c.resident_pages.load() * page_size;
    to.staged_bytes += c.staged_pages.load() * page_size;
    to.metadata_bytes += c.metadata_bytes.load();
    to.page_table_bytes += from.table().memory_bytes();
    to.poisoned_pages += c.poisoned_pages.load();
    to.pinned_pages += c.pinned_pages.load();
}

void add_faults(stats& to, const shard_counters& c) {
    to.faults += c.faults.load();
    for (unsigned i = 0; i < resolutions; ++i) {
        to.faults_by_resolution[i] += c.faults_by_resolution[i].load();
        to.fault_latency[i].merge(c.fault_latency[i].snapshot());
    }
    to.duplicate_faults += c.duplicate_faults.load();
    to.refaults += c.refaults.load();
    to.direct_reclaims += c.direct_reclaims.load();
    to.eagain_retries += c.eagain_retries.load();
    to.eexist_races += c.eexist_races.load();
}

void add_reclaim(stats& to, const shard_counters& c) {
    to.evicted_pages += c.evicted_pages.load();
    to.evict_ioctls += c.evict_ioctls.load();
    to.busy_pages += c.busy_pages.load();
    to.dropped_clean += c.dropped_clean.load();
    to.dropped_zero += c.dropped_zero.load();
    to.dropped_same_filled += c.dropped_same_filled.load();
    to.swapped_out += c.swapped_out.load();
    to.frame_releases += c.frame_releases.load();
    to.discarded_pages += c.discarded_pages.load();
    to.prefetched_pages += c.prefetched_pages.load();
    to.prefetch_hits += c.prefetch_hits.load();
    to.prefetch_waste += c.prefetch_waste.load();
    to.huge_installs += c.huge_installs.load();
    to.one_pass_faults += c.one_pass_faults.load();
    to.migration_reads += c.migration_reads.load();
}

} // namespace

void add_counters(stats& to, const shard<linux_kernel>& from) {
    add_memory(to, from);
    add_faults(to, from.counters());
    add_reclaim(to, from.counters());
    add_same_filled(to.tiers[same_filled_tier], from.counters());
    const tier_chain& chain = from.tiers();
    for (tier_number tier = 1; tier <= chain.last(); ++tier) {
        const tier_counters& counters = chain.counters(tier);
        add_tier(to.tiers[tier], counters);
        byte_count& memory =
            chain.at(tier).traits().counts_in_limit ? to.compressed_bytes : to.metadata_bytes;
        memory += counters.memory_bytes.load();
    }
}

void clear_amounts(stats& of) noexcept {
    for (byte_count* amount :
         {&of.limit_bytes, &of.region_bytes, &of.host_memory_bytes, &of.peak_host_memory_bytes,
          &of.resident_bytes, &of.staged_bytes, &of.compressed_bytes, &of.metadata_bytes,
          &of.page_table_bytes, &of.over_limit_bytes, &of.poisoned_pages, &of.pinned_pages})
        *amount = 0;
    for (tier_stats& tier : of.tiers) {
        tier.pages = tier.stored_bytes = tier.occupied_bytes = tier.memory_bytes = 0;
        tier.capacity_bytes = 0;
        tier.degraded = false;
    }
}

void derive(stats& of) noexcept {
    of.over_limit_bytes =
        of.host_memory_bytes > of.limit_bytes ? of.host_memory_bytes - of.limit_bytes : 0;
    const byte_count pages = of.region_bytes >> page_shift;
    of.metadata_bytes_per_page =
        pages == 0 ? 0 : static_cast<double>(of.metadata_bytes) / static_cast<double>(pages);
}

} // namespace uffdmm
