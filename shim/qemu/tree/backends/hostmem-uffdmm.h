/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the parts of memory-backend-uffdmm share
 */

#ifndef QEMU_BACKENDS_HOSTMEM_UFFDMM_H
#define QEMU_BACKENDS_HOSTMEM_UFFDMM_H

#include <uffdmm.h>
#include "qapi/qapi-types-uffdmm.h"
#include "qemu/thread.h"
#include "system/hostmem.h"
#include "system/ramblock-pager.h"

#define TYPE_MEMORY_BACKEND_UFFDMM "memory-backend-uffdmm"

OBJECT_DECLARE_SIMPLE_TYPE(HostMemoryBackendUffdmm, MEMORY_BACKEND_UFFDMM)

/* What the library has told and the main loop has not sent yet. */
typedef struct UffdmmNotice {
    int kind;
    int cause;
    uint64_t address;
    char tier[64];
} UffdmmNotice;

#define UFFDMM_MAX_NOTICES 64

typedef struct UffdmmNotices {
    QemuMutex lock; /* never held while guest memory is accessed */
    unsigned count;
    UffdmmNotice queue[UFFDMM_MAX_NOTICES];
    QEMUBH *bh;
} UffdmmNotices;

struct HostMemoryBackendUffdmm {
    HostMemoryBackend parent_obj;

    /* options; constant once the memory is there, except for limit */
    uint64_t limit;
    char *config;
    UffdmmTierList *tiers;
    UffdmmEviction eviction;
    UffdmmPrefetch prefetch;
    UffdmmWhenFull when_full;
    bool has_when_full;
    uint32_t shards;
    uint32_t workers; /* 0 until it is known */
    uint32_t staged_percent; /* 0: the library chooses */

    uffdmm_manager *manager;
    uffdmm_region *region;
    UffdmmNotices notices;
    bool discard_required;
    bool vhost_user_refused;

    /* migration of what is in a shared store: hostmem-uffdmm-handover.c */
    bool migrate_locations;
    uint8_t nonce[UFFDMM_NONCE_SIZE]; /* of the offer, on both sides */
    uint64_t located; /* pages sent as a location; atomic */
};

/*
 * The latest failure of this thread in the library, which names the option
 * that was wrong and what is allowed.
 */
void uffdmm_error(HostMemoryBackendUffdmm *m, Error **errp);

/* The backend that @rb is the memory of. */
HostMemoryBackendUffdmm *uffdmm_backend(RAMBlock *rb);

/* hostmem-uffdmm-stats.c: NULL after setting @errp */
UffdmmStats *uffdmm_backend_stats(HostMemoryBackendUffdmm *m, Error **errp);

/*
 * hostmem-uffdmm-vhost.c: from here on no device can be created that needs
 * another process to map guest memory; fails if there is one. To be undone by
 * uffdmm_allow_vhost_user().
 */
bool uffdmm_refuse_vhost_user(Error **errp);
void uffdmm_allow_vhost_user(void);

/* hostmem-uffdmm-migration.c: callbacks of the pager */
void *uffdmm_pager_save_begin(RAMBlock *rb, GByteArray *announcement,
                              Error **errp);
int uffdmm_pager_save_page(void *handle, uint64_t offset, const void **data,
                           Error **errp);
void uffdmm_pager_save_end(void *handle, bool completed);
void *uffdmm_pager_load_begin(RAMBlock *rb, Error **errp);
int uffdmm_pager_load_data(void *handle, uint64_t offset, size_t length,
                           const void *data, Error **errp);
int uffdmm_pager_load_zero(void *handle, uint64_t offset, size_t length,
                           Error **errp);
int uffdmm_pager_load_location(void *handle, uint64_t offset,
                               const void *location, Error **errp);
int uffdmm_pager_load_flush(void *handle, Error **errp);
void uffdmm_pager_load_end(void *handle);

/* hostmem-uffdmm-handover.c: the same, and the property migrate-locations */
int uffdmm_announce(HostMemoryBackendUffdmm *m, GByteArray *announcement,
                    Error **errp);
bool uffdmm_pager_load_announcement(RAMBlock *rb, const void *announcement,
                                    size_t length, Error **errp);
bool uffdmm_pager_offer(RAMBlock *rb, Error **errp);
bool uffdmm_pager_take_back(RAMBlock *rb, Error **errp);
bool uffdmm_pager_accept(RAMBlock *rb, Error **errp);
void uffdmm_pager_abandon(RAMBlock *rb);
void uffdmm_handover_class_init(ObjectClass *oc);

#endif
