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
#include "ram.h"
#include "ram-pager.h"

bool ram_pager_save_setup(Error **errp)
{
    RAMBlock *block;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH_NOT_IGNORED(block) {
        if (block->pager && !block->pager_save) {
            block->pager_save = block->pager->save_begin(block, errp);
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
            block->pager->save_end(block->pager_save, completed);
            block->pager_save = NULL;
        }
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
    RAMBlock *block;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH(block) {
        if (block->pager_load) {
            block->pager->load_end(block->pager_load);
            block->pager_load = NULL;
        }
    }
}
