/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UFFDMM_MIGRATION_H
#define UFFDMM_MIGRATION_H

/**
 * The part of uffdmm.h, which includes this file, about live migration, snapshots and dumps of a
 * region. The VMM keeps its stream and its dirty log; a source tells what each page is and gives
 * the contents of those that are out of the guest, a target puts pages in. A source neither touches
 * guest memory nor changes what is resident; a target touches it only where a page is present
 * already.
 *
 * The VMM's rule: first clear the page's bit in the dirty log, then ask, then send. Which races
 * there are then, and why each is safe, is in uffdmm/migration.hpp.
 */

#include "uffdmm.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Reads a region. Once the region is removed every call gives -EBADFD. */
typedef struct uffdmm_migration_source uffdmm_migration_source;
/** Fills a region. The same. */
typedef struct uffdmm_migration_target uffdmm_migration_target;

enum uffdmm_page_kind {
    UFFDMM_PAGE_UNTOUCHED = 0,   /**< zeros: nothing to send */
    UFFDMM_PAGE_SAME_FILLED = 1, /**< repeats the 64-bit word `pattern` */
    UFFDMM_PAGE_RESIDENT = 2,    /**< in the guest: read it there */
    UFFDMM_PAGE_SWAPPED = 3,     /**< out of the guest: read `contents` */
    UFFDMM_PAGE_LOCATED = 4,     /**< on storage that the target sees: send `location` */
    UFFDMM_PAGE_LOST = 5,        /**< poisoned: there are no contents */
    UFFDMM_PAGE_UNREADABLE = 6   /**< the tier failed; the page is unharmed: ask again or give up */
};

/** Bytes of a location, see uffdmm/location.hpp. */
#define UFFDMM_LOCATION_SIZE 48u

/** A page, as of a moment during the call that filled it. */
struct uffdmm_page {
    size_t struct_size;
    int32_t kind;         /**< enum uffdmm_page_kind */
    int32_t cause;        /**< UNREADABLE: UFFDMM_IO_ERROR or UFFDMM_CORRUPT */
    uint32_t tier;        /**< index for uffdmm_snapshot_tier; SWAPPED: 0 if no tier has it yet */
    uint32_t reserved;    /**< 0 */
    uint64_t pattern;     /**< SAME_FILLED; not 0 */
    const void* contents; /**< SWAPPED: UFFDMM_PAGE_SIZE bytes, page-aligned, else NULL */
    const void* location; /**< LOCATED: UFFDMM_LOCATION_SIZE bytes to send, else NULL */
};

struct uffdmm_source_options {
    size_t struct_size;
    uint32_t locations; /**< 1: the target sees our shared store, so pages there are LOCATED; 0: all
                             are sent with contents */
    uint32_t reserved;  /**< 0 */
};

/** Begins to read a region; options may be NULL: no locations. End it with
 *  uffdmm_migration_source_end, before the region is removed (which gives -EBUSY till then).
 *  Errors: -EBUSY (there is a source of the region), -EBADFD. Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_migration_source_begin(uffdmm_region* region,
                                             const struct uffdmm_source_options* options,
                                             uffdmm_migration_source** source) UFFDMM_NOEXCEPT;

/** Fills *page, whose struct_size is set, for the page at `offset` (bytes, a multiple of 4096).
 *  What it points to is valid until the next call with the source. Meant to be called for page
 *  after page: it looks and reads ahead, up to two windows of 64 pages, and mostly answers at once.
 *  Errors: -EINVAL, -EBADFD (ended, region removed).
 *  Threads: not guest, one at a time. Since 0.1. */
UFFDMM_API int uffdmm_migration_source_page(uffdmm_migration_source* source, uint64_t offset,
                                            struct uffdmm_page* page) UFFDMM_NOEXCEPT;

/** Pages that are the same but for their contents. */
struct uffdmm_page_run {
    size_t struct_size;
    uint64_t offset; /**< in the region */
    uint64_t length;
    int32_t kind;     /**< enum uffdmm_page_kind */
    uint32_t tier;    /**< as in uffdmm_page */
    uint64_t pattern; /**< as in uffdmm_page */
};
/** Gets a run; 0 to go on, anything else ends the walk. May call the manager. */
typedef int uffdmm_page_run_fn(void* user_data, const struct uffdmm_page_run* run);

/** Calls each_run, on this thread, for the runs that cover the range, in order. Reads no contents,
 *  gives no location. Gives what each_run gave, if it ended the walk.
 *  Errors: -EINVAL, -EBADFD. Threads: not guest, one at a time. Since 0.1. */
UFFDMM_API int uffdmm_migration_source_walk(uffdmm_migration_source* source, uint64_t offset,
                                            uint64_t length, uffdmm_page_run_fn* each_run,
                                            void* user_data) UFFDMM_NOEXCEPT;

/** Ends a source; NULL is fine. `completed` 1: the target goes on, so locations that were given out
 *  stay leased. 0: cancelled, or failed; the guest goes on here, and the leases end.
 *  Threads: not guest. Since 0.1. */
UFFDMM_API void uffdmm_migration_source_end(uffdmm_migration_source* source,
                                            int completed) UFFDMM_NOEXCEPT;

/** "untouched", "same_filled", ...; "unknown" for a value that is none.
 *  Threads: any. Since 0.1. */
UFFDMM_API const char* uffdmm_page_kind_name(int kind) UFFDMM_NOEXCEPT;

/** Begins to fill a region. Several targets of a region may be filled by a thread each, as long as
 *  a page is filled by one at a time. End it with uffdmm_migration_target_end, before the region is
 *  removed (which gives -EBUSY till then). Errors: -EBADFD. Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_migration_target_begin(uffdmm_region* region,
                                             uffdmm_migration_target** target) UFFDMM_NOEXCEPT;

/** The pages from `offset` on hold `contents` from now on: `length` bytes, a multiple of 4096,
 * which are copied. They are collected, so that neighbours arrive together:
 * uffdmm_migration_target_flush before anything reads the memory. Pages may hold something already;
 * the guest must not access them before the flush. cold: 1 for pages that were not resident on the
 * source: they go to a tier rather than to memory; 0 for those that were: they are resident while
 * more than the low watermark of memory is free. Errors, also those of pages collected before:
 * -EINVAL, -EBADFD, -ENOSPC (neither memory nor a tier has room), -EHWPOISON (the page is poisoned:
 * discard it first), -EBUSY.
 *  Threads: not guest, one at a time. Since 0.1. */
UFFDMM_API int uffdmm_migration_target_put(uffdmm_migration_target* target, uint64_t offset,
                                           uint64_t length, const void* contents,
                                           int cold) UFFDMM_NOEXCEPT;

/** The range is zeros, whatever it was; collected, too. Untouched pages cost nothing. Errors as
 *  above. Threads: not guest, one at a time. Since 0.1. */
UFFDMM_API int uffdmm_migration_target_zero(uffdmm_migration_target* target, uint64_t offset,
                                            uint64_t length) UFFDMM_NOEXCEPT;

/** The page at `offset` is where a source said: UFFDMM_LOCATION_SIZE bytes. Collected like
 *  contents. Errors: -EBADMSG (damaged), -EOPNOTSUPP (other version or kind), -ENOENT (no tier has
 *  that store), -EBADFD (the source's volume is not attached), and those of target_put.
 *  Threads: not guest, one at a time. Since 0.1. */
UFFDMM_API int uffdmm_migration_target_adopt(uffdmm_migration_target* target, uint64_t offset,
                                             const void* location) UFFDMM_NOEXCEPT;

/** Everything put so far is there when this returns 0. Threads: not guest, one at a time.
 *  Since 0.1. */
UFFDMM_API int uffdmm_migration_target_flush(uffdmm_migration_target* target) UFFDMM_NOEXCEPT;

/** Ends a target; what was not flushed is dropped. NULL is fine. Threads: not guest. Since 0.1. */
UFFDMM_API void uffdmm_migration_target_end(uffdmm_migration_target* target) UFFDMM_NOEXCEPT;

/* ---- handover of a store that both sides read: uffdmm/shared_store.hpp ----------------------- */

/** Bytes of a volume's name and of a nonce, which is random and names one offer. */
#define UFFDMM_VOLUME_NAME_SIZE 32u
#define UFFDMM_NONCE_SIZE 16u

/** What became of an offer. */
enum uffdmm_handover {
    UFFDMM_HANDOVER_OWN = 0,     /**< never offered, or cancelled: the guest may run here */
    UFFDMM_HANDOVER_OFFERED = 1, /**< not accepted yet */
    UFFDMM_HANDOVER_GIVEN = 2    /**< accepted: the guest must not run here any more */
};

/* All of these: -EOPNOTSUPP if no tier of the region is a store that other hosts read, -EBADFD if
 * the state does not permit the call. They wait for I/O and for other hosts.
 * Threads: not guest. Since 0.1. */

/** Source: fills UFFDMM_VOLUME_NAME_SIZE bytes, to be sent before the first location. */
UFFDMM_API int uffdmm_region_store_volume(uffdmm_region* region, void* name) UFFDMM_NOEXCEPT;
/** Source: offers what is stored to whoever has the nonce. The guest is stopped, and the target has
 *  everything else. keep 1: the offer outlives this process. */
UFFDMM_API int uffdmm_region_store_offer(uffdmm_region* region, const void* nonce,
                                         int keep) UFFDMM_NOEXCEPT;
/** Source: takes the offer back; -EBADFD: too late, it was accepted. */
UFFDMM_API int uffdmm_region_store_cancel(uffdmm_region* region) UFFDMM_NOEXCEPT;
/** Source: enum uffdmm_handover, as the store has it now. */
UFFDMM_API int uffdmm_region_store_outcome(uffdmm_region* region, int* handover) UFFDMM_NOEXCEPT;
/** Target: lets locations in that volume be adopted. -ENOENT: another store, or no such volume. */
UFFDMM_API int uffdmm_region_store_attach(uffdmm_region* region, const void* name) UFFDMM_NOEXCEPT;
/** Target: makes what was adopted its own; the last thing before the guest runs. -EPERM: offered
 *  with another nonce. */
UFFDMM_API int uffdmm_region_store_accept(uffdmm_region* region, const void* nonce) UFFDMM_NOEXCEPT;
/** Target: gives the attached volume up, after what was adopted was discarded. */
UFFDMM_API int uffdmm_region_store_detach(uffdmm_region* region) UFFDMM_NOEXCEPT;

/* ---- snapshots: uffdmm/snapshot.hpp ---------------------------------------------------------- */

/** A region that is being brought back. */
typedef struct uffdmm_restoration uffdmm_restoration;

/** Saves the region, whose guest is stopped, to a file; waits. locations 1: pages on a shared store
 *  stay there, and the store's volume is offered to whoever restores the file; the region is then
 *  good for UFFDMM_DROP alone. Errors: those of open(2) and write(2), -EBUSY (there is a source of
 *  the region), -EOPNOTSUPP (no such store), -EIO, -EBADMSG (a page cannot be read).
 *  Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_region_save(uffdmm_region* region, const char* path,
                                  int locations) UFFDMM_NOEXCEPT;
/** Begins to bring a saved region back; the region has the saved size and is untouched. The guest
 *  may run when this returns: what it touches comes first. The region cannot be removed (-EBUSY)
 *  until the restoration is freed. Errors: those of open(2), -EINVAL (no snapshot, another size),
 *  -EBADMSG (damaged), -EBADFD (not untouched), -ENOENT (no such store), -EOPNOTSUPP (a snapshot of
 *  another version), -EBUSY (another volume is attached). Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_region_restore(uffdmm_region* region, const char* path,
                                     uffdmm_restoration** restoration) UFFDMM_NOEXCEPT;
/** Waits until everything is there. Errors: -EIO, -EBADMSG (some pages are lost, and poisoned),
 *  -EPERM, -EBADFD (the store's volume was accepted by somebody else: the guest must not go on),
 *  -ESHUTDOWN. Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_restoration_wait(uffdmm_restoration* restoration) UFFDMM_NOEXCEPT;
/** Waits, and ends it. NULL is fine. Threads: not guest. Since 0.1. */
UFFDMM_API void uffdmm_restoration_free(uffdmm_restoration* restoration) UFFDMM_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif /* UFFDMM_MIGRATION_H */
