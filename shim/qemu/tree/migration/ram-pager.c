/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Migration of RAM blocks that have a pager (see system/ramblock-pager.h)
 *
 * Saving asks the pager about each page whose dirty bit was just cleared, so
 * that pages that are not in host memory need not be brought in. Loading
 * hands pages to the pager rather than writing to the block, where every
 * first access would be a fault.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "migration/misc.h"
#include "qemu/rcu.h"
#include "migration.h"
#include "ram.h"
#include "ram-pager.h"

bool ram_pager_save_setup(QEMUFile *f, Error **errp)
{
    bool locations = ram_handover_possible(f);
    RAMBlock *block;

    /* The guest may be here since it arrived, without having run. */
    if (!ram_handover_take_over(errp)) {
        return false;
    }
    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH_NOT_IGNORED(block) {
        if (block->pager && !block->pager_save) {
            if (locations && block->pager->location_size) {
                block->pager_announcement = g_byte_array_new();
            }
            block->pager_save =
                block->pager->save_begin(block, block->pager_announcement,
                                         errp);
            if (!block->pager_save) {
                return false;
            }
        }
    }
    return true;
}

void ram_pager_save_cleanup(bool completed)
{
    RAMBlock *block;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH(block) {
        if (block->pager_save) {
            /* What is offered still is for the destination to have. */
            block->pager->save_end(block->pager_save, completed ||
                                   block->pager_stored ==
                                   RAM_BLOCK_STORED_OFFERED);
            block->pager_save = NULL;
        }
        g_clear_pointer(&block->pager_announcement, g_byte_array_unref);
    }
}

int ram_pager_save_page(RAMBlock *block, uint64_t offset, const void **data)
{
    Error *err = NULL;
    int kind;

    if (!block->pager_save) {
        return RAM_BLOCK_PAGE_PRESENT;
    }
    kind = block->pager->save_page(block->pager_save, offset, data, &err);
    if (kind < 0) {
        error_prepend(&err, "page 0x%" PRIx64 " of block %s can't be saved: ",
                      offset, block->idstr);
        error_report_err(err);
    }
    return kind;
}

static bool ram_pager_load_begin(RAMBlock *block, Error **errp)
{
    if (!block->pager_load) {
        block->pager_load = block->pager->load_begin(block, errp);
    }
    return block->pager_load;
}

static int ram_pager_loaded(RAMBlock *block, Error *err)
{
    if (!err) {
        return 0;
    }
    error_prepend(&err, "pages of block %s can't be loaded: ", block->idstr);
    error_report_err(err);
    return -EIO;
}

int ram_pager_load_data(RAMBlock *block, uint64_t offset, size_t length,
                        const void *data)
{
    Error *err = NULL;

    if (ram_pager_load_begin(block, &err)) {
        block->pager->load_data(block->pager_load, offset, length, data, &err);
    }
    return ram_pager_loaded(block, err);
}

int ram_pager_load_zero(RAMBlock *block, uint64_t offset, size_t length)
{
    Error *err = NULL;

    if (ram_pager_load_begin(block, &err)) {
        block->pager->load_zero(block->pager_load, offset, length, &err);
    }
    return ram_pager_loaded(block, err);
}

int ram_pager_load_location(RAMBlock *block, uint64_t offset, QEMUFile *f)
{
    uint8_t location[UINT8_MAX];
    Error *err = NULL;
    int ret;

    if (block->pager_stored != RAM_BLOCK_STORED_ANNOUNCED) {
        error_report("block %s: a location comes without an announcement",
                     block->idstr);
        return -EINVAL;
    }
    qemu_get_buffer(f, location, block->pager->location_size);
    ret = qemu_file_get_error(f);
    if (ret) {
        return ret;
    }
    if (ram_pager_load_begin(block, &err)) {
        block->pager->load_location(block->pager_load, offset, location, &err);
    }
    return ram_pager_loaded(block, err);
}

int ram_pager_load_flush(void)
{
    RAMBlock *block;
    int ret = 0;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH(block) {
        if (block->pager_load) {
            Error *err = NULL;

            block->pager->load_flush(block->pager_load, &err);
            ret = ram_pager_loaded(block, err) ?: ret;
        }
    }
    return ret;
}

void ram_pager_load_cleanup(void)
{
    bool failed = migration_incoming_get_current()->state ==
                  MIGRATION_STATUS_FAILED;
    RAMBlock *block;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH(block) {
        if (block->pager_load) {
            block->pager->load_end(block->pager_load);
            block->pager_load = NULL;
        }
        if (failed) {
            ram_handover_abandon(block);
        }
    }
}
