/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Migration of RAM blocks that have a pager (see system/ramblock-pager.h)
 */

#ifndef QEMU_MIGRATION_RAM_PAGER_H
#define QEMU_MIGRATION_RAM_PAGER_H

#include "exec/ramblock.h"
#include "qemu-file.h"
#include "system/ramblock-pager.h"

/* Tells the pagers of all blocks that are migrated by that stream. */
bool ram_pager_save_setup(QEMUFile *f, Error **errp);
void ram_pager_save_cleanup(bool completed);

/*
 * What a page is. Blocks without a pager, and pages in host memory, are
 * RAM_BLOCK_PAGE_PRESENT. -1 after reporting an error.
 */
int ram_pager_save_page(RAMBlock *block, uint64_t offset, const void **data);

/*
 * For blocks with a pager: 0, or -EIO after reporting an error. Nothing may
 * access the block between loading and flushing.
 */
int ram_pager_load_data(RAMBlock *block, uint64_t offset, size_t length,
                        const void *data);
int ram_pager_load_zero(RAMBlock *block, uint64_t offset, size_t length);
/* Reads the location from the stream; the block may have no pager. */
int ram_pager_load_location(RAMBlock *block, uint64_t offset, QEMUFile *f);

/* What was loaded into any block is there. 0, or -EIO after reporting it. */
int ram_pager_load_flush(void);
void ram_pager_load_cleanup(void);

/* ram-handover.c: the section of the stream that says whose locations are */
void ram_handover_init(void);
bool ram_handover_possible(QEMUFile *f);
/* The incoming migration has failed. */
void ram_handover_abandon(RAMBlock *block);

#endif
