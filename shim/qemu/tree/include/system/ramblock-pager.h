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
    /** In storage that the other side reads, too: where it is goes instead. */
    RAM_BLOCK_PAGE_LOCATION,
} RAMBlockPageKind;

/**
 * RAMBlockStored:
 *
 * Who owns what a pager has stored of a block, when that does not stay where
 * it is: migration/ram-handover.c. Under the BQL.
 */
typedef enum RAMBlockStored {
    /** This QEMU, as ever. */
    RAM_BLOCK_STORED_OURS,
    /** Source: the destination may have accepted it. */
    RAM_BLOCK_STORED_OFFERED,
    /** Destination: still the source, locations arrive. */
    RAM_BLOCK_STORED_ANNOUNCED,
    /** Destination: the source has offered it. */
    RAM_BLOCK_STORED_RECEIVED,
} RAMBlockStored;

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
     * @announcement: if not NULL the stream can carry locations, and if there
     *                will be any, the pager appends what load_announcement()
     *                of the other side has to know of them; at most 64 KiB
     *
     * Return: a handle, or NULL after setting @errp
     */
    void *(*save_begin)(RAMBlock *rb, GByteArray *announcement, Error **errp);

    /**
     * @save_page: what a page is whose dirty bit has been cleared before
     *
     * Called by one thread at a time.
     *
     * @data: where the contents of a RAM_BLOCK_PAGE_DATA are, or the location
     *        of a RAM_BLOCK_PAGE_LOCATION, until the next call with the handle
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

    /*
     * Locations, and how what is stored passes to another owner. All of it
     * is 0 and NULL in a pager that never gives a location. Whoever does not
     * own what is stored must not run the guest.
     */

    /** @location_size: bytes of a location, at most 255 */
    size_t location_size;

    /**
     * @load_announcement: locations will follow, which the other side's
     *                     save_begin() has announced by these bytes
     *
     * Return: whether this side can use them; false after setting @errp
     */
    bool (*load_announcement)(RAMBlock *rb, const void *announcement,
                              size_t length, Error **errp);

    /** @load_location: the page is where the other side said; see load_data */
    int (*load_location)(void *handle, uint64_t offset, const void *location,
                         Error **errp);

    /**
     * @offer: source: the guest is stopped, the other side may accept
     * @take_back: source: takes the offer back; the guest may run here again
     * @accept: destination: what is stored is this side's from now on, and
     *          the guest may run here
     *
     * One of take_back and accept succeeds, at any time after offer, even if
     * the other side is gone.
     *
     * Return: true, or false after setting @errp
     */
    bool (*offer)(RAMBlock *rb, Error **errp);
    bool (*take_back)(RAMBlock *rb, Error **errp);
    bool (*accept)(RAMBlock *rb, Error **errp);

    /** @abandon: destination: gives up all of it; the block's contents, too */
    void (*abandon)(RAMBlock *rb);
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
