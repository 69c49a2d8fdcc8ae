/* SPDX-License-Identifier: BSD-3-Clause */
#include "c_ram_tier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/** Slots are indexes of `pages`; a free one holds NULL. */
struct c_ram_tier {
    struct c_ram_tier_controls* controls;
    unsigned char** pages;
    size_t capacity;
    uint64_t used;
    uffdmm_store_request** stores; /* waiting for poll */
    uffdmm_load_request** loads;
    size_t store_count, load_count;
};

static int tier_open(void* user_data, const struct uffdmm_tier_context* context, void** out) {
    struct c_ram_tier_controls* controls = user_data;
    struct c_ram_tier* tier;
    if (controls->open_status != 0)
        return controls->open_status;
    tier = calloc(1, sizeof *tier);
    if (tier == NULL)
        return -ENOMEM;
    tier->controls = controls;
    tier->capacity = context->shard_pages;
    tier->pages = calloc(tier->capacity, sizeof *tier->pages);
    tier->stores = calloc(tier->capacity, sizeof *tier->stores);
    tier->loads = calloc(tier->capacity, sizeof *tier->loads);
    controls->opened++;
    *out = tier;
    return 0;
}

static void tier_close(void* instance) {
    struct c_ram_tier* tier = instance;
    size_t slot;
    tier->controls->closed++;
    for (slot = 0; slot < tier->capacity; ++slot)
        free(tier->pages[slot]);
    free(tier->pages);
    free(tier->stores);
    free(tier->loads);
    free(tier);
}

static void finish_store(struct c_ram_tier* tier, uffdmm_store_request* r,
                         uffdmm_tier_client* client) {
    size_t slot = 0;
    if (tier->controls->fail_stores) {
        uffdmm_store_done(client, r, UFFDMM_TIER_FAILED, 0);
        return;
    }
    while (slot < tier->capacity && tier->pages[slot] != NULL)
        ++slot;
    if (slot == tier->capacity) {
        uffdmm_store_done(client, r, UFFDMM_TIER_IS_FULL, 0);
        return;
    }
    tier->pages[slot] = malloc(UFFDMM_PAGE_SIZE);
    memcpy(tier->pages[slot], uffdmm_store_contents(r), UFFDMM_PAGE_SIZE);
    tier->used++;
    tier->controls->stored++;
    uffdmm_store_done(client, r, UFFDMM_TIER_OK, slot);
}

static void finish_load(struct c_ram_tier* tier, uffdmm_load_request* r,
                        uffdmm_tier_client* client) {
    if (tier->controls->corrupt_loads) {
        uffdmm_load_done(client, r, UFFDMM_TIER_CORRUPT);
        return;
    }
    memcpy(uffdmm_load_destination(r), tier->pages[uffdmm_load_slot(r)], UFFDMM_PAGE_SIZE);
    tier->controls->loaded++;
    uffdmm_load_done(client, r, UFFDMM_TIER_OK);
}

static void tier_store(void* instance, uffdmm_store_request* const* requests, size_t count,
                       uffdmm_tier_client* client) {
    struct c_ram_tier* tier = instance;
    size_t i;
    for (i = 0; i < count; ++i) {
        if (tier->controls->later)
            tier->stores[tier->store_count++] = requests[i];
        else
            finish_store(tier, requests[i], client);
    }
}

static void tier_load(void* instance, uffdmm_load_request* const* requests, size_t count,
                      uffdmm_tier_client* client) {
    struct c_ram_tier* tier = instance;
    size_t i;
    for (i = 0; i < count; ++i) {
        if (tier->controls->later)
            tier->loads[tier->load_count++] = requests[i];
        else
            finish_load(tier, requests[i], client);
    }
}

static void tier_poll(void* instance, uffdmm_tier_client* client) {
    struct c_ram_tier* tier = instance;
    /* Taken off before it is reported: reporting may bring new requests. */
    while (tier->store_count != 0)
        finish_store(tier, tier->stores[--tier->store_count], client);
    while (tier->load_count != 0)
        finish_load(tier, tier->loads[--tier->load_count], client);
}

static void tier_release(void* instance, uint64_t slot) {
    struct c_ram_tier* tier = instance;
    free(tier->pages[slot]);
    tier->pages[slot] = NULL;
    tier->used--;
    tier->controls->released++;
}

static void tier_usage(void* instance, struct uffdmm_tier_usage* usage) {
    const struct c_ram_tier* tier = instance;
    usage->pages = tier->used;
    usage->stored_bytes = tier->used * UFFDMM_PAGE_SIZE;
    usage->occupied_bytes = usage->stored_bytes;
    usage->capacity_bytes = tier->capacity * UFFDMM_PAGE_SIZE;
}

struct uffdmm_tier_ops c_ram_tier_ops(int later) {
    struct uffdmm_tier_ops ops;
    memset(&ops, 0, sizeof ops);
    ops.struct_size = sizeof ops;
    ops.latency = later ? UFFDMM_LATENCY_REMOTE : UFFDMM_LATENCY_MEMORY;
    ops.flags = later ? 0 : UFFDMM_TIER_SYNCHRONOUS_LOAD;
    ops.open = tier_open;
    ops.close = tier_close;
    ops.store = tier_store;
    ops.load = tier_load;
    ops.poll = later ? tier_poll : NULL;
    ops.release = tier_release;
    ops.usage = tier_usage;
    return ops;
}

void c_ram_tier_count_free(void* controls) {
    ((struct c_ram_tier_controls*)controls)->freed++;
}
