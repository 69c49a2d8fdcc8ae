/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Migration of memory-backend-uffdmm: pages that are out of host memory are
 * read where they are, and arrive where there is room
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "hostmem-uffdmm.h"

/* How often a page is asked for whose tier fails, before migration does. */
#define UFFDMM_SAVE_TRIES 3

typedef struct UffdmmSave {
    HostMemoryBackendUffdmm *m;
    uffdmm_migration_source *source;
    uint64_t filled[UFFDMM_PAGE_SIZE / sizeof(uint64_t)]; /* latest pattern */
} UffdmmSave;

static void uffdmm_migration_error(Error **errp)
{
    error_setg(errp, "%s", uffdmm_last_error());
}

void *uffdmm_pager_save_begin(RAMBlock *rb, GByteArray *announcement,
                              Error **errp)
{
    struct uffdmm_source_options options = { .struct_size = sizeof(options) };
    HostMemoryBackendUffdmm *m = uffdmm_backend(rb);
    UffdmmSave *save;
    int locations = uffdmm_announce(m, announcement, errp);

    if (locations < 0) {
        return NULL;
    }
    options.locations = locations;
    save = g_new0(UffdmmSave, 1);
    save->m = m;
    if (uffdmm_migration_source_begin(m->region, &options, &save->source)) {
        uffdmm_migration_error(errp);
        g_free(save);
        return NULL;
    }
    return save;
}

static const void *uffdmm_fill(UffdmmSave *save, uint64_t pattern)
{
    size_t i;

    if (save->filled[0] != pattern) {
        for (i = 0; i < ARRAY_SIZE(save->filled); i++) {
            save->filled[i] = pattern;
        }
    }
    return save->filled;
}

int uffdmm_pager_save_page(void *handle, uint64_t offset, const void **data,
                           Error **errp)
{
    UffdmmSave *save = handle;
    struct uffdmm_page page = { .struct_size = sizeof(page) };
    int tries;

    for (tries = 0; tries < UFFDMM_SAVE_TRIES; tries++) {
        if (uffdmm_migration_source_page(save->source, offset, &page)) {
            uffdmm_migration_error(errp);
            return -1;
        }
        switch (page.kind) {
        case UFFDMM_PAGE_UNTOUCHED:
            return RAM_BLOCK_PAGE_ZERO;
        case UFFDMM_PAGE_RESIDENT:
            return RAM_BLOCK_PAGE_PRESENT;
        case UFFDMM_PAGE_SAME_FILLED:
            *data = uffdmm_fill(save, page.pattern);
            return RAM_BLOCK_PAGE_DATA;
        case UFFDMM_PAGE_SWAPPED:
            *data = page.contents;
            return RAM_BLOCK_PAGE_DATA;
        case UFFDMM_PAGE_LOCATED:
            *data = page.location;
            qatomic_set_u64(&save->m->located, save->m->located + 1);
            return RAM_BLOCK_PAGE_LOCATION;
        case UFFDMM_PAGE_LOST:
            error_setg(errp, "its contents are lost");
            return -1;
        default:
            break;
        }
    }
    error_setg(errp, "its tier can't read it: %s",
               uffdmm_errc_name(page.cause));
    return -1;
}

void uffdmm_pager_save_end(void *handle, bool completed)
{
    UffdmmSave *save = handle;

    uffdmm_migration_source_end(save->source, completed);
    g_free(save);
}

void *uffdmm_pager_load_begin(RAMBlock *rb, Error **errp)
{
    uffdmm_migration_target *target;

    if (uffdmm_migration_target_begin(uffdmm_backend(rb)->region, &target)) {
        uffdmm_migration_error(errp);
        return NULL;
    }
    return target;
}

int uffdmm_pager_load_data(void *handle, uint64_t offset, size_t length,
                           const void *data, Error **errp)
{
    if (uffdmm_migration_target_put(handle, offset, length, data, 0)) {
        uffdmm_migration_error(errp);
        return -1;
    }
    return 0;
}

int uffdmm_pager_load_zero(void *handle, uint64_t offset, size_t length,
                           Error **errp)
{
    if (uffdmm_migration_target_zero(handle, offset, length)) {
        uffdmm_migration_error(errp);
        return -1;
    }
    return 0;
}

int uffdmm_pager_load_location(void *handle, uint64_t offset,
                               const void *location, Error **errp)
{
    if (uffdmm_migration_target_adopt(handle, offset, location)) {
        uffdmm_migration_error(errp);
        return -1;
    }
    return 0;
}

int uffdmm_pager_load_flush(void *handle, Error **errp)
{
    if (uffdmm_migration_target_flush(handle)) {
        uffdmm_migration_error(errp);
        return -1;
    }
    return 0;
}

void uffdmm_pager_load_end(void *handle)
{
    uffdmm_migration_target_end(handle);
}
