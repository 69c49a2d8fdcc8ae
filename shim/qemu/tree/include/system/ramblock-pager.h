/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RAM blocks whose pages somebody else brings in and takes out
 */

#ifndef SYSTEM_RAMBLOCK_PAGER_H
#define SYSTEM_RAMBLOCK_PAGER_H

#include "exec/cpu-common.h"

/**
 * RAMBlockPager:
 *
 * What a RAM block's pager does in place of QEMU's own calls to the kernel.
 * A pager decides which pages of the block are in host memory. It serves the
 * faults of all that access the block in this process, but it knows of no
 * other mapping: memory_region_get_fd() gives -1 for such a block, and
 * ram_block_discard_require() is its duty.
 *
 * Callbacks are called by any thread, with or without the BQL, and may wait
 * for the pager's own threads. These therefore never take the BQL.
 */
typedef struct RAMBlockPager RAMBlockPager;
struct RAMBlockPager {
    /** @name: of the kind of pager, for messages */
    const char *name;

    /**
     * @discard: see ram_block_discard_range()
     *
     * @rb: the block
     * @start: byte in the block, aligned to its page size
     * @length: bytes, aligned as well; the range is inside the block
     *
     * Return: 0, or a negative errno value
     */
    int (*discard)(RAMBlock *rb, uint64_t start, size_t length);
};

/**
 * qemu_ram_set_pager: make a pager responsible for a RAM block
 *
 * @rb: a block that nothing has access to yet
 * @pager: the pager, which must outlive the block
 * @opaque: for qemu_ram_get_pager_opaque()
 */
void qemu_ram_set_pager(RAMBlock *rb, const RAMBlockPager *pager, void *opaque);

/**
 * qemu_ram_get_pager: the pager of a RAM block, or NULL if it has none
 */
const RAMBlockPager *qemu_ram_get_pager(RAMBlock *rb);
void *qemu_ram_get_pager_opaque(RAMBlock *rb);

#endif
