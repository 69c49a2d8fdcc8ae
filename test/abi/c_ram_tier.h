/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef C_RAM_TIER_H
#define C_RAM_TIER_H

/* A swap tier written in C99: pages in memory of its own, uncompressed. */

#include "uffdmm.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Its user_data: what a test turns and sees. Written by one shard only. */
struct c_ram_tier_controls {
    int open_status;   /**< what open gives */
    int later;         /**< 1: stores and loads finish in poll */
    int fail_stores;   /**< 1: stores fail */
    int corrupt_loads; /**< 1: loads find a wrong checksum */
    int opened, closed, freed;
    uint64_t stored, loaded, released;
};

/** Functions of the tier; flags fit `later`. */
struct uffdmm_tier_ops c_ram_tier_ops(int later);
/** For free_user_data. */
void c_ram_tier_count_free(void* controls);

#ifdef __cplusplus
}
#endif

#endif
