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

/** What a page is that is to be saved. */
typedef enum RAMBlockPageKind {
    /** In host memory: read it there. */
    RAM_BLOCK_PAGE_PRESENT,
    /** Zeros, whether in host memory or not. */
    RAM_BLOCK_PAGE_ZERO,
    /** Not in host memory: the pager has read it into a buffer. */
    RAM_BLOCK_PAGE_DATA,
} RAMBlockPageKind;

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

    /*
     * Saving. Pages that are not in host memory are not brought in for it.
     */

    /**
     * @save_begin: the block is about to be saved
     *
     * Return: a handle, or NULL after setting @errp
     */
    void *(*save_begin)(RAMBlock *rb, Error **errp);

    /**
     * @save_page: what a page is whose dirty bit has been cleared before
     *
     * Called by one thread at a time.
     *
     * @data: where the contents are of a RAM_BLOCK_PAGE_DATA, until the next
     *        call with the handle
     *
     * Return: a RAMBlockPageKind, or -1 after setting @errp
     */
    int (*save_page)(void *handle, uint64_t offset, const void **data,
                     Error **errp);

    /** @save_end: also after a failure, which is when @completed is false */
    void (*save_end)(void *handle, bool completed);

    /*
     * Loading. Pages are put where they belong without touching the block,
     * nothing is accessed there before load_flush. A handle is for one thread
     * at a time; several fill different pages of a block at the same time.
     */

    /** @load_begin: a handle, or NULL after setting @errp */
    void *(*load_begin)(RAMBlock *rb, Error **errp);

    /**
     * @load_data: the range holds copies of @data from the next load_flush on
     * @load_zero: the same for zeros
     * @load_flush: what was put is there from now on
     *
     * Return: 0, or -1 after setting @errp, also for what was put before
     */
    int (*load_data)(void *handle, uint64_t offset, size_t length,
                     const void *data, Error **errp);
    int (*load_zero)(void *handle, uint64_t offset, size_t length,
                     Error **errp);
    int (*load_flush)(void *handle, Error **errp);

    /** @load_end: what was not flushed is dropped */
    void (*load_end)(void *handle);
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
