/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * memory-backend-uffdmm with a tier in a store that the other side of a
 * migration reads, too: pages there go as locations, and the store's volume
 * changes hands with the guest (uffdmm/shared_store.hpp)
 */

#include "qemu/osdep.h"
#include "crypto/random.h"
#include "qapi/error.h"
#include "hostmem-uffdmm.h"

/* How often accepting is tried: what fails may have happened all the same. */
#define UFFDMM_ACCEPT_TRIES 3

/* What the source tells first: its volume, and what it will offer it by. */
typedef struct UffdmmAnnouncement {
    uint8_t volume[UFFDMM_VOLUME_NAME_SIZE];
    uint8_t nonce[UFFDMM_NONCE_SIZE];
} QEMU_PACKED UffdmmAnnouncement;

/*
 * Whether locations are sent: 1, 0, or -1 after setting @errp. @announcement:
 * NULL if the stream can't carry them.
 */
int uffdmm_announce(HostMemoryBackendUffdmm *m, GByteArray *announcement,
                    Error **errp)
{
    UffdmmAnnouncement own;
    int ret;

    if (!announcement || !m->migrate_locations) {
        return 0;
    }
    ret = uffdmm_region_store_volume(m->region, own.volume);
    if (ret == -EOPNOTSUPP) { /* no tier of ours is shared */
        return 0;
    }
    if (ret) {
        uffdmm_error(m, errp);
        return -1;
    }
    if (qcrypto_random_bytes(m->nonce, sizeof(m->nonce), errp) < 0) {
        return -1;
    }
    memcpy(own.nonce, m->nonce, sizeof(own.nonce));
    g_byte_array_append(announcement, (uint8_t *)&own, sizeof(own));
    return 1;
}

bool uffdmm_pager_load_announcement(RAMBlock *rb, const void *announcement,
                                    size_t length, Error **errp)
{
    ERRP_GUARD();
    HostMemoryBackendUffdmm *m = uffdmm_backend(rb);
    const UffdmmAnnouncement *source = announcement;

    if (length != sizeof(*source)) {
        error_setg(errp, "the announcement is of another version");
        return false;
    }
    memcpy(m->nonce, source->nonce, sizeof(m->nonce));
    if (uffdmm_region_store_attach(m->region, source->volume)) {
        uffdmm_error(m, errp);
        error_append_hint(errp, "Both sides need a tier in the same store, or "
                          "migrate-locations=off on the source.\n");
        return false;
    }
    return true;
}

bool uffdmm_pager_offer(RAMBlock *rb, Error **errp)
{
    HostMemoryBackendUffdmm *m = uffdmm_backend(rb);

    if (uffdmm_region_store_offer(m->region, m->nonce, 0)) {
        uffdmm_error(m, errp);
        return false;
    }
    return true;
}

/*
 * Slots that were named to the destination are free to change again. After a
 * migration that seemed to complete, nobody has ended their leases.
 */
static void uffdmm_end_leases(HostMemoryBackendUffdmm *m)
{
    uffdmm_migration_source *source;

    if (!uffdmm_migration_source_begin(m->region, NULL, &source)) {
        uffdmm_migration_source_end(source, 0);
    }
}

bool uffdmm_pager_take_back(RAMBlock *rb, Error **errp)
{
    HostMemoryBackendUffdmm *m = uffdmm_backend(rb);

    if (uffdmm_region_store_cancel(m->region)) {
        uffdmm_error(m, errp);
        return false;
    }
    uffdmm_end_leases(m);
    return true;
}

bool uffdmm_pager_accept(RAMBlock *rb, Error **errp)
{
    HostMemoryBackendUffdmm *m = uffdmm_backend(rb);
    int tries, ret = -EIO;

    for (tries = 0; tries < UFFDMM_ACCEPT_TRIES && ret == -EIO; tries++) {
        ret = uffdmm_region_store_accept(m->region, m->nonce);
    }
    if (ret) {
        uffdmm_error(m, errp);
        return false;
    }
    return true;
}

void uffdmm_pager_abandon(RAMBlock *rb)
{
    HostMemoryBackendUffdmm *m = uffdmm_backend(rb);

    uffdmm_region_discard(m->region, 0, MEMORY_BACKEND(m)->size);
    uffdmm_region_store_detach(m->region);
}

static bool uffdmm_backend_get_migrate_locations(Object *obj, Error **errp)
{
    return MEMORY_BACKEND_UFFDMM(obj)->migrate_locations;
}

static void uffdmm_backend_set_migrate_locations(Object *obj, bool value,
                                                 Error **errp)
{
    MEMORY_BACKEND_UFFDMM(obj)->migrate_locations = value;
}

void uffdmm_handover_class_init(ObjectClass *oc)
{
    object_class_property_add_bool(oc, "migrate-locations",
                                   uffdmm_backend_get_migrate_locations,
                                   uffdmm_backend_set_migrate_locations);
    object_class_property_set_description(oc, "migrate-locations",
        "Whether migration sends where pages in a shared tier are, rather than "
        "what they hold");
}
