/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Statistics of memory-backend-uffdmm: the library's, as QAPI has them
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-types-uffdmm.h"
#include "qapi/util.h"
#include "qemu/atomic.h"
#include "hostmem-uffdmm.h"

static UffdmmTierStats *uffdmm_tier_stats(const struct uffdmm_tier_stats *from)
{
    UffdmmTierStats *to = g_new0(UffdmmTierStats, 1);

    to->name = g_strdup(from->name);
    to->pages = from->pages;
    to->stored_bytes = from->stored_bytes;
    to->occupied_bytes = from->occupied_bytes;
    to->memory_bytes = from->memory_bytes;
    to->capacity_bytes = from->capacity_bytes;
    to->reads = from->reads;
    to->writes = from->writes;
    to->rejected = from->rejected;
    to->demoted = from->demoted;
    to->read_errors = from->read_errors;
    to->write_errors = from->write_errors;
    to->corrupt = from->corrupt;
    to->degraded = from->degraded;
    return to;
}

static UffdmmStats *uffdmm_stats(const struct uffdmm_stats *from)
{
    UffdmmStats *to = g_new0(UffdmmStats, 1);

    to->limit_bytes = from->limit_bytes;
    to->region_bytes = from->region_bytes;
    to->host_memory_bytes = from->host_memory_bytes;
    to->peak_host_memory_bytes = from->peak_host_memory_bytes;
    to->resident_bytes = from->resident_bytes;
    to->staged_bytes = from->staged_bytes;
    to->compressed_bytes = from->compressed_bytes;
    to->metadata_bytes = from->metadata_bytes;
    to->over_limit_bytes = from->over_limit_bytes;
    to->poisoned_pages = from->poisoned_pages;
    to->faults = from->faults;
    to->refaults = from->refaults;
    to->direct_reclaims = from->direct_reclaims;
    to->evicted_pages = from->evicted_pages;
    to->swapped_out = from->swapped_out;
    to->discarded_pages = from->discarded_pages;
    to->prefetched_pages = from->prefetched_pages;
    to->prefetch_hits = from->prefetch_hits;
    to->migration_reads = from->migration_reads;
    return to;
}

/* NULL, and the library has the reason, if it fails. */
static UffdmmStats *uffdmm_snapshot_to_qapi(const uffdmm_snapshot *snapshot)
{
    struct uffdmm_stats stats = { .struct_size = sizeof(stats) };
    g_autoptr(UffdmmStats) to = NULL;
    UffdmmTierStatsList **tail;
    uint64_t i;

    if (uffdmm_snapshot_stats(snapshot, &stats)) {
        return NULL;
    }
    to = uffdmm_stats(&stats);
    if (uffdmm_snapshot_latency(snapshot, UFFDMM_ANY_RESOLUTION, 0.5,
                                &to->fault_p50_ns) ||
        uffdmm_snapshot_latency(snapshot, UFFDMM_ANY_RESOLUTION, 0.99,
                                &to->fault_p99_ns)) {
        return NULL;
    }
    tail = &to->tiers;
    for (i = 0; i < stats.tier_count; i++) {
        struct uffdmm_tier_stats tier = { .struct_size = sizeof(tier) };

        if (uffdmm_snapshot_tier(snapshot, i, &tier)) {
            return NULL;
        }
        QAPI_LIST_APPEND(tail, uffdmm_tier_stats(&tier));
    }
    return g_steal_pointer(&to);
}

UffdmmStats *uffdmm_backend_stats(HostMemoryBackendUffdmm *m, Error **errp)
{
    UffdmmStats *stats;
    uffdmm_snapshot *snapshot;

    if (uffdmm_manager_snapshot(m->manager, &snapshot)) {
        uffdmm_error(m, errp);
        return NULL;
    }
    stats = uffdmm_snapshot_to_qapi(snapshot);
    uffdmm_snapshot_free(snapshot);
    if (!stats) {
        uffdmm_error(m, errp);
        return NULL;
    }
    stats->migration_locations = qatomic_read_u64(&m->located);
    return stats;
}
