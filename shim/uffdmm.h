/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UFFDMM_H
#define UFFDMM_H

/**
 * libuffdmm from C99: a manager holds a budget of host memory and a chain of swap tiers; regions
 * are ranges of guest RAM that it keeps within the budget.
 *
 * Results.   Calls give 0 or a negative errno value, unless they say otherwise; uffdmm_last_error()
 *            then has a sentence that names what was wrong and what is allowed. Beyond what a call
 *            lists, every call may give -EINVAL (a NULL or impossible argument) and -ENOMEM.
 *            Output parameters are written on success only.
 *
 * Structs.   Those that begin with struct_size are read and written up to that size. A program
 *            built against an older header misses the tail and gets the defaults; a newer program
 *            that uses an option this library does not know gets -E2BIG (UFFDMM_NOT_SUPPORTED), and
 *            zeros in members of results that it does not know. Fill them by their _init function,
 *            with sizeof of the struct; where there is none, set struct_size and zero the rest.
 *
 * Units.     Sizes and offsets are bytes; durations carry their unit in the comment.
 *
 * Text.      UTF-8 ending in NUL. Texts given as char** belong to the caller: uffdmm_free().
 *
 * Callbacks. Each comes with user_data and an optional free_user_data, which is called exactly
 *            once, also if the call that took it failed, when user_data will not be used any more.
 *            (A struct that cannot be read, its struct_size being impossible, takes nothing.)
 *            Callbacks must not call back into the manager, unless they say otherwise, and must
 *            not throw or longjmp.
 *
 * Threads.   "any": any thread, at any time. "not guest": any thread that does not hold a lock
 *            that a thread accessing guest memory could need; the call waits for the library's
 *            threads. Different handles never disturb each other. Ending a handle (destroy, remove,
 *            free) must not run at the same time as another call with it.
 *
 * dlopen: every function has the symbol version UFFDMM_0.1.
 */

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define UFFDMM_API __attribute__((visibility("default")))
#else
#define UFFDMM_API
#endif

#ifdef __cplusplus
#define UFFDMM_NOEXCEPT noexcept
extern "C" {
#else
#define UFFDMM_NOEXCEPT
#endif

/** A budget, its tiers, and its regions. */
typedef struct uffdmm_manager uffdmm_manager;
/** A range of managed memory. Belongs to its manager. Once removed, every call with it gives
 *  -EBADFD until the manager is destroyed, which ends the handle. */
typedef struct uffdmm_region uffdmm_region;
/** Statistics of one moment. */
typedef struct uffdmm_snapshot uffdmm_snapshot;

/* ---- errors and version -------------------------------------------------------------------- */

/** What went wrong, in terms a caller can act on, and the errno value that goes with it. */
enum uffdmm_errc {
    UFFDMM_OK = 0,
    UFFDMM_INVALID_ARGUMENT = 1,  /**< EINVAL: a parameter is out of range or misaligned */
    UFFDMM_INVALID_CONFIG = 2,    /**< EINVAL: an option or a combination is refused */
    UFFDMM_NOT_SUPPORTED = 3,     /**< EOPNOTSUPP: the kernel or the build lacks it */
    UFFDMM_PERMISSION_DENIED = 4, /**< EPERM: userfaultfd may not be opened */
    UFFDMM_BUSY = 5,              /**< EBUSY: somebody else holds it, or not idle in time */
    UFFDMM_NO_MEMORY = 6,         /**< ENOMEM: host memory, or vm.max_map_count */
    UFFDMM_LIMIT_TOO_SMALL = 7,   /**< EDQUOT: the limit cannot hold what was asked for */
    UFFDMM_NOT_FOUND = 8,         /**< ENOENT: no such region, page, tier or slot */
    UFFDMM_WRONG_STATE = 9,       /**< EBADFD: the state does not permit the call */
    UFFDMM_IO_ERROR = 10,         /**< EIO: a tier failed to read or write */
    UFFDMM_CORRUPT = 11,          /**< EBADMSG: a slot's checksum does not match */
    UFFDMM_POISONED = 12,         /**< EHWPOISON: the page's contents are lost */
    UFFDMM_FULL = 13,             /**< ENOSPC: no tier has room */
    UFFDMM_SHUT_DOWN = 14,        /**< ESHUTDOWN: the manager or region is going away */
    UFFDMM_SYSTEM = 15            /**< the errno of a system call, else EIO */
};

/** Text of the calling thread's latest failure; "" if it had none. Valid until its next failure.
 *  Threads: any. Since 0.1. */
UFFDMM_API const char* uffdmm_last_error(void) UFFDMM_NOEXCEPT;

/** enum uffdmm_errc of the same failure. Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_last_errc(void) UFFDMM_NOEXCEPT;

/** "limit too small" for UFFDMM_LIMIT_TOO_SMALL; "unknown" for a value that is none.
 *  Threads: any. Since 0.1. */
UFFDMM_API const char* uffdmm_errc_name(int errc) UFFDMM_NOEXCEPT;

/** Version of the library as "0.1.0". Threads: any. Since 0.1. */
UFFDMM_API const char* uffdmm_version(void) UFFDMM_NOEXCEPT;

/** One line of text with the userfaultfd features of this kernel, or why there are none.
 *  Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_kernel_features(char** text) UFFDMM_NOEXCEPT;

/** Frees a text that the library gave. NULL is fine. Threads: any. Since 0.1. */
UFFDMM_API void uffdmm_free(void* text) UFFDMM_NOEXCEPT;

/** "256M" → 268435456; K, M, G and T are powers of 1024. Errors: -EINVAL for anything else.
 *  Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_parse_size(const char* text, uint64_t* bytes) UFFDMM_NOEXCEPT;

/* ---- events --------------------------------------------------------------------------------- */

enum uffdmm_event_kind {
    UFFDMM_EVENT_TIER_DEGRADED = 0, /**< writes fail, or it is full: skipped for now */
    UFFDMM_EVENT_TIER_RECOVERED = 1,
    UFFDMM_EVENT_PAGE_POISONED = 2, /**< contents lost; the guest sees a machine check */
    UFFDMM_EVENT_OVER_LIMIT = 3
};

/** Something the operator should know. */
struct uffdmm_event {
    size_t struct_size;
    int32_t kind;     /**< enum uffdmm_event_kind */
    int32_t cause;    /**< enum uffdmm_errc */
    const char* tier; /**< name, for tier events, else ""; valid during the call */
    uint64_t address; /**< of the guest page (host virtual), for PAGE_POISONED */
};

/** Called on a library thread. Must not block and must not call the manager. */
typedef void uffdmm_event_fn(void* user_data, const struct uffdmm_event* event);

struct uffdmm_event_handler {
    size_t struct_size;
    uffdmm_event_fn* on_event;
    void* user_data;
    void (*free_user_data)(void* user_data); /**< or NULL */
};

/* ---- tiers written in C --------------------------------------------------------------------- */

/** How a request ended. */
enum uffdmm_tier_status {
    UFFDMM_TIER_OK = 1,
    UFFDMM_TIER_REJECTED = 2, /**< store: such contents are not for this tier; the next is tried */
    UFFDMM_TIER_IS_FULL = 3,  /**< store: no room; the next one is tried */
    UFFDMM_TIER_FAILED = 4,   /**< I/O error; a load may be tried again */
    UFFDMM_TIER_CORRUPT = 5,  /**< load: checksum or generation does not match */
    UFFDMM_TIER_BUSY = 6      /**< store: not now; the next one is tried */
};

enum uffdmm_tier_latency {
    UFFDMM_LATENCY_MEMORY = 0,
    UFFDMM_LATENCY_LOCAL = 1,
    UFFDMM_LATENCY_REMOTE = 2
};

/** Bits of uffdmm_tier_ops.flags. */
enum uffdmm_tier_flags {
    UFFDMM_TIER_SYNCHRONOUS_LOAD = 1, /**< load always finishes inside the call */
    UFFDMM_TIER_COUNTS_IN_LIMIT = 2,  /**< its memory_bytes count in the limit */
    UFFDMM_TIER_SHARED = 4,           /**< has no effect so far: its pages are sent with contents */
    UFFDMM_TIER_COLD_ORDER = 8        /**< coldest works: pages are demoted, if loads are
                                           synchronous and capacity_bytes is not 0 */
};

/** Bytes of a page, and the largest slot number. */
#define UFFDMM_PAGE_SIZE 4096u
#define UFFDMM_MAX_SLOT ((UINT64_C(1) << 40) - 2)

/** A page to store or load; the library's, alive until it is reported done. */
typedef struct uffdmm_store_request uffdmm_store_request;
typedef struct uffdmm_load_request uffdmm_load_request;
/** Whom to tell that a request is done; valid during the call that got it. */
typedef struct uffdmm_tier_client uffdmm_tier_client;

struct uffdmm_tier_context {
    size_t struct_size;
    uint32_t shard_pages;  /**< pages of the shard the instance is for */
    uint32_t shard_number; /**< unique within the manager */
};

/** What an instance holds. Bytes are memory or storage really taken, overhead included. */
struct uffdmm_tier_usage {
    size_t struct_size;
    uint64_t pages;
    uint64_t stored_bytes;   /**< payload after compression */
    uint64_t occupied_bytes; /**< storage taken on the medium */
    uint64_t memory_bytes;   /**< host memory taken, metadata included */
    uint64_t capacity_bytes; /**< most that occupied_bytes may become */
};

struct uffdmm_cold_slot {
    uint64_t slot;
    uint64_t owner; /**< of the request that stored it */
};

/**
 * A swap tier. open makes an instance per shard; all other calls about an instance come from that
 * shard's thread, one at a time, until close. They must never touch guest memory and never block
 * for long: a guest fault may be waiting behind the call. A request is reported done exactly once,
 * inside the call that brought it or later inside poll; the process stops where that is broken.
 * Reporting may call the tier again (store, load, release, usage) before it returns, so do it last.
 */
struct uffdmm_tier_ops {
    size_t struct_size;
    int32_t latency; /**< enum uffdmm_tier_latency */
    uint32_t flags;  /**< enum uffdmm_tier_flags */

    /** Gives an instance in *tier, which may be NULL. 0, or a negative errno value: adding the
     *  region then fails with it. Called on the thread that adds the region. */
    int (*open)(void* user_data, const struct uffdmm_tier_context* context, void** tier);
    /** Ends an instance that open gave. No request is pending. Called on the thread that removes
     *  the region. May be NULL. */
    void (*close)(void* tier);
    /** Stores pages, sorted by owner where possible; uffdmm_store_done for each. */
    void (*store)(void* tier, uffdmm_store_request* const* requests, size_t count,
                  uffdmm_tier_client* client);
    /** Loads pages; uffdmm_load_done for each. */
    void (*load)(void* tier, uffdmm_load_request* const* requests, size_t count,
                 uffdmm_tier_client* client);
    /** Frees a slot. No request for it is pending. */
    void (*release)(void* tier, uint64_t slot);
    /** Finishes what has come back. Called when event_fd is readable, and now and then. NULL if
     *  every request finishes inside its call. */
    void (*poll)(void* tier, uffdmm_tier_client* client);
    /** Descriptor that is readable when poll has something to do, or -1. May be NULL. */
    int (*event_fd)(void* tier);
    /** Fills usage, whose struct_size is set. */
    void (*usage)(void* tier, struct uffdmm_tier_usage* usage);
    /** Fills out with at most count slots stored longest ago, oldest first; gives how many. Needed
     *  for, and only for, UFFDMM_TIER_COLD_ORDER. */
    size_t (*coldest)(void* tier, struct uffdmm_cold_slot* out, size_t count);
};

/** The page to store: UFFDMM_PAGE_SIZE bytes, unchanged until done. Threads: any. Since 0.1. */
UFFDMM_API const void* uffdmm_store_contents(const uffdmm_store_request* r) UFFDMM_NOEXCEPT;
/** Its page number: neighbours should get adjacent slots. Threads: any. Since 0.1. */
UFFDMM_API uint64_t uffdmm_store_owner(const uffdmm_store_request* r) UFFDMM_NOEXCEPT;
/** A pointer of the tier's own that the request keeps until done; NULL at first.
 *  Threads: the tier's choice. Since 0.1. */
UFFDMM_API void* uffdmm_store_data(const uffdmm_store_request* r) UFFDMM_NOEXCEPT;
UFFDMM_API void uffdmm_store_set_data(uffdmm_store_request* r, void* data) UFFDMM_NOEXCEPT;
/** Reports a store as done. status: enum uffdmm_tier_status; slot: at most UFFDMM_MAX_SLOT, ignored
 *  unless status is UFFDMM_TIER_OK. A wrong value stops the process. The request is gone.
 *  Threads: the shard's, inside a call of the tier. Since 0.1. */
UFFDMM_API void uffdmm_store_done(uffdmm_tier_client* client, uffdmm_store_request* r, int status,
                                  uint64_t slot) UFFDMM_NOEXCEPT;

/** The slot to load. Threads: any. Since 0.1. */
UFFDMM_API uint64_t uffdmm_load_slot(const uffdmm_load_request* r) UFFDMM_NOEXCEPT;
/** Where to: UFFDMM_PAGE_SIZE bytes. Threads: any. Since 0.1. */
UFFDMM_API void* uffdmm_load_destination(const uffdmm_load_request* r) UFFDMM_NOEXCEPT;
/** As uffdmm_store_data. Threads: the tier's choice. Since 0.1. */
UFFDMM_API void* uffdmm_load_data(const uffdmm_load_request* r) UFFDMM_NOEXCEPT;
UFFDMM_API void uffdmm_load_set_data(uffdmm_load_request* r, void* data) UFFDMM_NOEXCEPT;
/** Reports a load as done: UFFDMM_TIER_OK, _FAILED or _CORRUPT, else the process stops. The request
 *  is gone. Threads: the shard's, inside a call of the tier. Since 0.1. */
UFFDMM_API void uffdmm_load_done(uffdmm_tier_client* client, uffdmm_load_request* r,
                                 int status) UFFDMM_NOEXCEPT;

/* ---- managers ------------------------------------------------------------------------------- */

enum uffdmm_tier_kind {
    UFFDMM_TIER_RAM = 1,
    UFFDMM_TIER_FILE = 2,
    UFFDMM_TIER_CUSTOM = 3,
    UFFDMM_TIER_NBD = 4
};
enum uffdmm_codec { UFFDMM_LZ4 = 0, UFFDMM_ZSTD = 1 };
/** What a guest fault does when every tier is full and the limit is reached. */
enum uffdmm_when_full {
    UFFDMM_EXCEED = 0, /**< memory grows past the limit, counted and reported */
    UFFDMM_WAIT = 1    /**< the faulting thread waits for room or a higher limit */
};

/** Which CPUs threads run on: see uffdmm/config.hpp. */
enum uffdmm_placement {
    UFFDMM_PLACE_SCHEDULER = 0, /**< wherever the kernel's scheduler puts them */
    UFFDMM_PLACE_GATHER = 1     /**< threads that fault all the time share a CPU with the library's,
                                     unless that is measured to be clearly slower */
};

/** One tier. Options of other kinds are ignored. */
struct uffdmm_tier_options {
    size_t struct_size;
    const char* name;        /**< unlike the other tiers'; NULL: "ram", "file", "custom", "nbd" */
    uint64_t size;           /**< ram: most memory, 0: half of the limit. file: capacity, 0: all of
                                  a block device. nbd: capacity, 0: all of the export */
    int32_t kind;            /**< enum uffdmm_tier_kind */
    int32_t compression;     /**< ram: enum uffdmm_codec */
    int32_t level;           /**< ram: zstd level, 1..19 */
    uint32_t reject_percent; /**< ram: a page compressing to more than this share is passed on */
    const char* path;        /**< file: a directory, a file, or a block device (overwritten) */
    uint32_t keep;           /**< file: 1 leaves a named file behind, 0 */
    uint32_t preallocate;    /**< file: 1 reserves the blocks at start, 0 */
    uint32_t discard;        /**< file, nbd: 1 punches or trims freed slots, 0 */
    uint32_t queue_depth;    /**< file: I/Os in flight per shard, 1..1024. nbd: requests in flight
                                  per connection, 1..128 */
    const struct uffdmm_tier_ops* ops;       /**< custom; copied */
    void* user_data;                         /**< custom: for ops->open */
    void (*free_user_data)(void* user_data); /**< or NULL; called for every kind */
    uint32_t shared;   /**< file: 1: path is a file on storage that other hosts mount too, 0 */
    uint32_t reserved; /**< 0 */
    const char* uri;   /**< nbd: nbd://HOST[:PORT]/[EXPORT], nbd+unix:///[EXPORT]?socket=PATH,
                            nbd+vsock://CID[:PORT]/[EXPORT]; with TLS nbds://, nbds+unix:// and
                            nbds+vsock:// */
    const char* tls_psk_file; /**< nbd: pre-shared keys; NULL: the system's certificates */
    uint64_t request_timeout; /**< nbd: milliseconds after which a connection without an answer is
                                   lost, at least 100 */
    uint64_t lost_after;      /**< nbd: milliseconds after which a server that is away is given up,
                                   and its pages are poisoned when touched; at least 100 */
    uint32_t connections;     /**< nbd: 1..16, where the server shows all clients the same */
    uint32_t durable;         /**< nbd: 1: stored means on the server's stable storage, 0 */
    const char* shared_table; /**< nbd: a file on storage that other hosts mount too, which says
                                   whose pages of the export are; NULL: it is not shared */
};

/** Defaults and what is allowed: see uffdmm/config.hpp, whose names these are. */
struct uffdmm_manager_options {
    size_t struct_size;
    uint64_t limit; /**< host memory for everything: required, at least 4 MiB */
    const struct uffdmm_tier_options* tiers; /**< tier_count of them, at most 6, all of one
                                                  struct_size, tried in this order; none: one
                                                  of kind ram */
    size_t tier_count;
    const struct uffdmm_event_handler* on_event; /**< copied; or NULL */
    uint32_t workers;                            /**< threads for compression, 1..64 */
    uint32_t staged_percent;          /**< share of the limit kept as staged pages, 1..50; 0: 3
                                           where the first tier is compressed RAM, else 12 */
    uint32_t low_watermark_permille;  /**< free share at which reclaim starts */
    uint32_t high_watermark_permille; /**< and at which it stops: low < high <= 250 */
    uint64_t spin;                    /**< microseconds an idle shard thread spins at most */
    uint64_t read_retry_time;         /**< milliseconds a failing tier read is retried */
    int32_t when_full;                /**< enum uffdmm_when_full */
    int32_t placement;                /**< enum uffdmm_placement */
};

/** Fills *options with the defaults; struct_size: sizeof *options. Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_manager_options_init(struct uffdmm_manager_options* options,
                                           size_t struct_size) UFFDMM_NOEXCEPT;
/** The same for a tier of `kind`. Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_tier_options_init(struct uffdmm_tier_options* options, size_t struct_size,
                                        int kind) UFFDMM_NOEXCEPT;

/** Makes a manager without regions. On failure nothing stays behind. Waits for I/O, for other hosts
 *  that share a tier, and up to 10 s for an NBD server.
 *  Errors: -EINVAL naming the option, -E2BIG, and those of opening the tiers: -ENOENT, -EPERM,
 *  -EBUSY, -ENOSPC, -EOPNOTSUPP, -EIO, -EBADMSG (a damaged shared store), or a system call's.
 *  Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_manager_create(const struct uffdmm_manager_options* options,
                                     uffdmm_manager** manager) UFFDMM_NOEXCEPT;

/** Makes a manager and its regions from JSON text; `source` names the text in messages and may be
 *  NULL, as may on_event. On failure nothing stays behind.
 *  Errors: -EINVAL naming the key, and those of uffdmm_manager_create and
 *  uffdmm_manager_add_region. Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_manager_create_from_json(const char* json, const char* source,
                                               const struct uffdmm_event_handler* on_event,
                                               uffdmm_manager** manager) UFFDMM_NOEXCEPT;

/** The same from a file. Errors: also those of open(2) and read(2). Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_manager_create_from_file(const char* path,
                                               const struct uffdmm_event_handler* on_event,
                                               uffdmm_manager** manager) UFFDMM_NOEXCEPT;

/** Ends a manager and its regions; what they hold in tiers is dropped. To keep contents remove the
 *  regions first. NULL is fine. Threads: not guest. Since 0.1. */
UFFDMM_API void uffdmm_manager_destroy(uffdmm_manager* manager) UFFDMM_NOEXCEPT;

/** Changes the limit, in bytes. Raising is immediate; lowering waits until memory is below it.
 *  Errors: -EDQUOT, the limit unchanged, if metadata and pinned pages alone need more.
 *  Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_manager_set_limit(uffdmm_manager* manager, uint64_t limit) UFFDMM_NOEXCEPT;
/** The limit at present; 0 for NULL. Threads: any. Since 0.1. */
UFFDMM_API uint64_t uffdmm_manager_limit(const uffdmm_manager* manager) UFFDMM_NOEXCEPT;

/** Waits until no reclaim, load or store is under way. Errors: -EBUSY after `timeout` milliseconds.
 *  Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_manager_wait_idle(uffdmm_manager* manager, uint64_t timeout) UFFDMM_NOEXCEPT;

/* ---- regions -------------------------------------------------------------------------------- */

enum uffdmm_backing {
    UFFDMM_PRIVATE_ANONYMOUS = 0,
    UFFDMM_SHARED_MEMORY = 1 /**< memfd or shmem */
};

/** Whether a region may have huge pages (2 MiB), which are faster as long as nothing is evicted. */
enum uffdmm_huge_pages {
    UFFDMM_HUGE_PAGES_AUTO = 0, /**< while the limit would hold the whole region; private memory,
                                     from Linux 6.8 on */
    UFFDMM_HUGE_PAGES_OFF = 1
};

/** Memory is allocated, or adopted by address, or by address and fd. */
struct uffdmm_region_options {
    size_t struct_size;
    uint64_t size;    /**< bytes, a multiple of 4096: required */
    const char* name; /**< for messages; NULL: "ram" */
    void* address;    /**< the embedder's mapping, page-aligned; no other thread of the process may
                           touch it until the region is added. NULL: allocate */
    uint64_t fd_offset;       /**< of the mapping in fd */
    const char* policy;       /**< "fifo", "second_chance", "s3fifo"; NULL: the default */
    const char* prefetch;     /**< "off", "sequential", "stride", "adaptive"; NULL: the default */
    int32_t fd;               /**< shared memory with address: its memfd; else -1 */
    int32_t kind;             /**< enum uffdmm_backing */
    uint32_t shards;          /**< threads serving the region, 1..64 */
    uint32_t prefetch_window; /**< largest window in pages, 1..512 */
    uint32_t remove_events;   /**< 1: madvise by the embedder is a discard (private memory, from
                                   Linux 6.8 on); 0: only uffdmm_region_discard() is, and what a
                                   thread has read in passing leaves faster */
    int32_t huge_pages;       /**< enum uffdmm_huge_pages */
};

/** Fills *options with the defaults; struct_size: sizeof *options. Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_region_options_init(struct uffdmm_region_options* options,
                                          size_t struct_size) UFFDMM_NOEXCEPT;

/** Takes over a range: from here until removal every access to an absent page is served by the
 *  library. On failure nothing stays behind and adopted memory is as before.
 *  Errors: -EINVAL, -E2BIG, -EPERM (userfaultfd refused), -EBUSY (another userfaultfd has the
 *  range), -EOPNOTSUPP (unsuitable memory, old kernel), -EDQUOT (metadata does not fit the limit).
 *  Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_manager_add_region(uffdmm_manager* manager,
                                         const struct uffdmm_region_options* options,
                                         uffdmm_region** region) UFFDMM_NOEXCEPT;

/** What becomes of the contents of a removed region. */
enum uffdmm_removal {
    UFFDMM_KEEP = 0,            /**< swap in and leave plain memory, if the limit can hold it */
    UFFDMM_KEEP_OVER_LIMIT = 1, /**< the same, whatever memory it takes */
    UFFDMM_DROP = 2             /**< contents are no longer wanted */
};

/** Ends a region. Memory that is kept is plain memory of the caller's from then on, also if it was
 *  allocated: take uffdmm_region_data before, munmap it some time. Of dropped memory what was
 *  allocated is unmapped, what was adopted left to the embedder.
 *  Errors: -EDQUOT: UFFDMM_KEEP would exceed the limit, nothing changed,
 *  uffdmm_region_missing_bytes tells by how much. -EBUSY: a migration source, a target or a
 *  restoration of it has not been ended. -EBADFD: removed before.
 *  Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_region_remove(uffdmm_region* region, int removal) UFFDMM_NOEXCEPT;

/** Bytes that UFFDMM_KEEP would need beyond the limit. Errors: -EBADFD.
 *  Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_region_missing_bytes(uffdmm_region* region, uint64_t* bytes) UFFDMM_NOEXCEPT;

/** Regions of the manager that are not removed, and one of them, in the order they were added.
 *  Errors: -ENOENT beyond the last. Threads: any. Since 0.1. */
UFFDMM_API size_t uffdmm_manager_region_count(const uffdmm_manager* manager) UFFDMM_NOEXCEPT;
UFFDMM_API int uffdmm_manager_region(uffdmm_manager* manager, size_t index,
                                     uffdmm_region** region) UFFDMM_NOEXCEPT;

/** First byte (host virtual), bytes, and name, valid as long as the region; NULL, 0 and NULL for a
 *  removed region. Threads: any. Since 0.1. */
UFFDMM_API void* uffdmm_region_data(const uffdmm_region* region) UFFDMM_NOEXCEPT;
UFFDMM_API uint64_t uffdmm_region_size(const uffdmm_region* region) UFFDMM_NOEXCEPT;
UFFDMM_API const char* uffdmm_region_name(const uffdmm_region* region) UFFDMM_NOEXCEPT;

/* The rest takes offset and length in bytes, multiples of 4096, inside the region, else -EINVAL.
 * -EBADFD if the region was removed. */

/** The contents are dead (balloon, free page reporting): reads give zeros from now on, memory and
 *  slots are freed. Errors: -EBUSY: a page of the range is pinned; nothing is discarded then.
 *  Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_region_discard(uffdmm_region* region, uint64_t offset,
                                     uint64_t length) UFFDMM_NOEXCEPT;

/** Brings the range in and keeps it resident until as many unpins: needed where a device or the
 *  kernel writes without faulting. Errors: -EDQUOT (more than the limit can hold), -EHWPOISON
 *  (contents lost); nothing stays pinned then. Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_region_pin(uffdmm_region* region, uint64_t offset,
                                 uint64_t length) UFFDMM_NOEXCEPT;
/** Undoes one pin of the range. Errors: -EBADFD if a page is not pinned.
 *  Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_region_unpin(uffdmm_region* region, uint64_t offset,
                                   uint64_t length) UFFDMM_NOEXCEPT;

/** Starts bringing swapped pages in, as far as free memory goes. A hint; does not wait for them.
 *  Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_region_prefetch(uffdmm_region* region, uint64_t offset,
                                      uint64_t length) UFFDMM_NOEXCEPT;

/** Takes the range out of memory down to a tier, and waits for it. *evicted (unless NULL) gets the
 *  number of bytes that left memory; pinned and busy pages stay.
 *  Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_region_evict(uffdmm_region* region, uint64_t offset, uint64_t length,
                                   uint64_t* evicted) UFFDMM_NOEXCEPT;

enum uffdmm_residency {
    UFFDMM_UNTOUCHED = 0,
    UFFDMM_RESIDENT = 1,
    UFFDMM_STAGED = 2,
    UFFDMM_SWAPPED = 3,
    UFFDMM_LOST = 4 /**< poisoned: the contents are lost */
};

/** Pages of equal state. */
struct uffdmm_run {
    size_t struct_size;
    uint64_t offset; /**< in the region */
    uint64_t length;
    int32_t state; /**< enum uffdmm_residency */
    uint32_t tier; /**< index for uffdmm_snapshot_tier, for UFFDMM_SWAPPED */
};

/** Gets a run; 0 to go on, anything else ends the query. May call the manager. */
typedef int uffdmm_run_fn(void* user_data, const struct uffdmm_run* run);

/** Calls each_run, on this thread, for the runs that cover the range, in order. Touches no guest
 *  memory. Pages change while the caller looks, unless pinned or the guest is stopped. Gives what
 *  each_run gave, if it ended the query. Threads: not guest. Since 0.1. */
UFFDMM_API int uffdmm_region_query(uffdmm_region* region, uint64_t offset, uint64_t length,
                                   uffdmm_run_fn* each_run, void* user_data) UFFDMM_NOEXCEPT;

/** "untouched", "resident", ...; "unknown" for a value that is none. Threads: any. Since 0.1. */
UFFDMM_API const char* uffdmm_residency_name(int residency) UFFDMM_NOEXCEPT;

/* ---- statistics ----------------------------------------------------------------------------- */

/** How a fault was resolved. */
enum uffdmm_resolution {
    UFFDMM_ANY_RESOLUTION = -1,   /**< all kinds together */
    UFFDMM_RESOLUTION_ZERO = 0,   /**< untouched page */
    UFFDMM_RESOLUTION_STAGED = 1, /**< taken back from the staged list */
    UFFDMM_RESOLUTION_SAME_FILLED = 2,
    UFFDMM_RESOLUTION_MEMORY_TIER = 3, /**< loaded by a synchronous tier */
    UFFDMM_RESOLUTION_SLOW_TIER = 4,   /**< loaded by an asynchronous tier */
    UFFDMM_RESOLUTION_UNPROTECT = 5,   /**< first write to a clean page */
    UFFDMM_RESOLUTION_PRESENT = 6,     /**< it was there already: woken only */
    UFFDMM_RESOLUTION_MINOR = 7,       /**< in the page cache: mapped only */
    UFFDMM_RESOLUTION_POISONED = 8     /**< lost contents */
};
#define UFFDMM_RESOLUTIONS 9

/** Counters since the start, unless they are amounts of now. Members as in uffdmm/stats.hpp.
 *  host_memory = resident + staged + compressed + metadata. */
struct uffdmm_stats {
    size_t struct_size;
    uint64_t limit_bytes;
    uint64_t region_bytes;
    uint64_t host_memory_bytes;
    uint64_t peak_host_memory_bytes;
    uint64_t resident_bytes;
    uint64_t staged_bytes;     /**< staged pages, and frames not yet given back */
    uint64_t compressed_bytes; /**< memory of tiers that count in the limit */
    uint64_t metadata_bytes;   /**< page tables, staging descriptors, buffers */
    uint64_t page_table_bytes; /**< part of metadata_bytes: 16 bytes per page of the regions */
    double metadata_bytes_per_page;
    uint64_t over_limit_bytes; /**< now; nonzero only after over_limit events */
    uint64_t poisoned_pages;
    uint64_t pinned_pages;

    uint64_t faults;                   /**< messages answered */
    uint64_t faults_by_resolution[16]; /**< UFFDMM_RESOLUTIONS of them */
    uint64_t duplicate_faults;
    uint64_t refaults;        /**< faults on pages evicted before */
    uint64_t direct_reclaims; /**< faults that had to wait for a free frame */
    uint64_t eagain_retries;
    uint64_t eexist_races;

    uint64_t evicted_pages; /**< out of the guest */
    uint64_t evict_ioctls;  /**< flushes they took */
    uint64_t busy_pages;    /**< refused by the kernel because pinned */
    uint64_t dropped_clean; /**< left memory without a write */
    uint64_t dropped_zero;
    uint64_t dropped_same_filled;
    uint64_t swapped_out;    /**< written to a tier */
    uint64_t frame_releases; /**< calls that gave frames back */
    uint64_t discarded_pages;

    uint64_t prefetched_pages;
    uint64_t prefetch_hits;
    uint64_t prefetch_waste;

    uint64_t tier_count;      /**< indexes for uffdmm_snapshot_tier; 0 is "same-filled" */
    uint64_t one_pass_faults; /**< of threads that read all memory once */
    uint64_t migration_reads; /**< pages read for a migration, left where they were */
    uint64_t huge_installs;   /**< huge pages mapped, each for one fault */
};

struct uffdmm_tier_stats {
    size_t struct_size;
    const char* name; /**< valid as long as the snapshot */
    uint64_t pages;
    uint64_t stored_bytes;
    uint64_t occupied_bytes;
    uint64_t memory_bytes;
    uint64_t capacity_bytes;
    uint64_t reads;    /**< pages loaded */
    uint64_t writes;   /**< pages stored */
    uint64_t rejected; /**< pages passed on to the next tier */
    uint64_t demoted;  /**< pages moved from here to a lower tier */
    uint64_t read_errors;
    uint64_t write_errors;
    uint64_t corrupt;  /**< checksum or generation mismatches */
    uint64_t degraded; /**< 1: writes fail or it is full, skipped for now */
};

/** Fills *stats, whose struct_size is set by the caller. Disturbs no fault.
 *  Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_manager_stats(const uffdmm_manager* manager,
                                    struct uffdmm_stats* stats) UFFDMM_NOEXCEPT;

/** Statistics of now, with tiers and latencies; end it with uffdmm_snapshot_free. It outlives the
 *  manager. Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_manager_snapshot(const uffdmm_manager* manager,
                                       uffdmm_snapshot** snapshot) UFFDMM_NOEXCEPT;
/** Ends a snapshot. NULL is fine. Threads: any. Since 0.1. */
UFFDMM_API void uffdmm_snapshot_free(uffdmm_snapshot* snapshot) UFFDMM_NOEXCEPT;

/** As uffdmm_manager_stats. Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_snapshot_stats(const uffdmm_snapshot* snapshot,
                                     struct uffdmm_stats* stats) UFFDMM_NOEXCEPT;
/** Fills *stats, whose struct_size is set by the caller, for the tier of that place in the chain.
 *  Errors: -ENOENT beyond the last. Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_snapshot_tier(const uffdmm_snapshot* snapshot, size_t index,
                                    struct uffdmm_tier_stats* stats) UFFDMM_NOEXCEPT;

/** Latency in ns, from reading the fault to resolving it, that the share `quantile` (0 < quantile
 *  <= 1) of the faults of that enum uffdmm_resolution stay below; within 12.5 %, 0 if there were
 *  none. Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_snapshot_latency(const uffdmm_snapshot* snapshot, int resolution,
                                       double quantile, uint64_t* ns) UFFDMM_NOEXCEPT;

/** Buckets of a latency histogram. */
#define UFFDMM_HISTOGRAM_BUCKETS 488

/** The whole histogram of these faults: counts gets the first `buckets` counts (zeros beyond
 *  UFFDMM_HISTOGRAM_BUCKETS), *sum_ns (unless NULL) the sum of all latencies.
 *  Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_snapshot_histogram(const uffdmm_snapshot* snapshot, int resolution,
                                         uint64_t* counts, size_t buckets,
                                         uint64_t* sum_ns) UFFDMM_NOEXCEPT;
/** Largest latency in ns that a bucket counts; UINT64_MAX for the last one and beyond.
 *  Threads: any. Since 0.1. */
UFFDMM_API uint64_t uffdmm_histogram_upper_edge(size_t bucket) UFFDMM_NOEXCEPT;

/** Everything as one JSON object. Threads: any. Since 0.1. */
UFFDMM_API int uffdmm_snapshot_json(const uffdmm_snapshot* snapshot, char** text) UFFDMM_NOEXCEPT;

/** "zero", "staged", ...; "unknown" for a value that is none. Threads: any. Since 0.1. */
UFFDMM_API const char* uffdmm_resolution_name(int resolution) UFFDMM_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#include "uffdmm_migration.h" /* live migration and snapshots */

#endif /* UFFDMM_H */
