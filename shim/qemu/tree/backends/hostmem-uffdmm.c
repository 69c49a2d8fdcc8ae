/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU host memory backend whose pages libuffdmm brings in and takes out
 *
 * The memory of the backend may be larger than the host memory it takes
 * (the limit): libuffdmm serves its page faults by userfaultfd, takes cold
 * pages out while the guest runs, and keeps them in tiers.
 *
 * Threads. The library's threads serve the faults of all others, those of
 * threads that hold the BQL included. They therefore never take the BQL or
 * any lock that is held while guest memory is accessed; what they have to
 * tell goes through a queue and a bottom half.
 */

#include "qemu/osdep.h"
#include "hw/boards.h"
#include "qapi/error.h"
#include "qapi/qapi-events-uffdmm.h"
#include "qapi/qapi-visit-uffdmm.h"
#include "qapi/visitor.h"
#include "qemu/main-loop.h"
#include "qemu/memfd.h"
#include "qemu/module.h"
#include "qom/object_interfaces.h"
#include "system/system.h"
#include "hostmem-uffdmm.h"

void uffdmm_error(HostMemoryBackendUffdmm *m, Error **errp)
{
    const char *text = uffdmm_last_error();
    const char *after_call = strstr(text, ": ");

    if (g_str_has_prefix(text, "uffdmm_") && after_call) {
        text = after_call + 2;
    }
    error_setg(errp, "%s '%s': %s", TYPE_MEMORY_BACKEND_UFFDMM,
               object_get_canonical_path_component(OBJECT(m)), text);
}

/* -- events ---------------------------------------------------------------- */

static void uffdmm_send_notice(HostMemoryBackendUffdmm *m, const char *path,
                               const UffdmmNotice *notice)
{
    const char *reason = uffdmm_errc_name(notice->cause);

    switch (notice->kind) {
    case UFFDMM_EVENT_TIER_DEGRADED:
    case UFFDMM_EVENT_TIER_RECOVERED:
        qapi_event_send_uffdmm_tier_state(path, notice->tier,
            notice->kind == UFFDMM_EVENT_TIER_DEGRADED, reason);
        break;
    case UFFDMM_EVENT_PAGE_POISONED: {
        MemoryRegion *mr = &MEMORY_BACKEND(m)->mr;
        uintptr_t base = (uintptr_t)memory_region_get_ram_ptr(mr);

        qapi_event_send_uffdmm_page_lost(path, notice->address - base, reason);
        break;
    }
    case UFFDMM_EVENT_OVER_LIMIT:
        qapi_event_send_uffdmm_over_limit(path);
        break;
    }
}

static void uffdmm_send_notices(void *opaque)
{
    HostMemoryBackendUffdmm *m = opaque;
    g_autofree char *path = object_get_canonical_path(OBJECT(m));
    g_autofree UffdmmNotice *queue = g_new(UffdmmNotice, UFFDMM_MAX_NOTICES);
    unsigned i, count;

    WITH_QEMU_LOCK_GUARD(&m->notices.lock) {
        count = m->notices.count;
        memcpy(queue, m->notices.queue, count * sizeof(*queue));
        m->notices.count = 0;
    }
    for (i = 0; i < count; i++) {
        uffdmm_send_notice(m, path, &queue[i]);
    }
}

/*
 * Called on a thread of the library. When the main loop does not keep up,
 * further events are dropped: statistics have the count.
 */
static void uffdmm_on_event(void *opaque, const struct uffdmm_event *event)
{
    UffdmmNotices *notices = opaque;

    WITH_QEMU_LOCK_GUARD(&notices->lock) {
        if (notices->count < UFFDMM_MAX_NOTICES) {
            UffdmmNotice *notice = &notices->queue[notices->count++];

            notice->kind = event->kind;
            notice->cause = event->cause;
            notice->address = event->address;
            g_strlcpy(notice->tier, event->tier, sizeof(notice->tier));
        }
    }
    qemu_bh_schedule(notices->bh);
}

/* -- the manager ----------------------------------------------------------- */

static const int uffdmm_tier_kinds[] = {
    [UFFDMM_TIER_KIND_RAM] = UFFDMM_TIER_RAM,
    [UFFDMM_TIER_KIND_FILE] = UFFDMM_TIER_FILE,
    [UFFDMM_TIER_KIND_NBD] = UFFDMM_TIER_NBD,
};

static void uffdmm_nbd_options(const UffdmmTierNbd *nbd,
                               struct uffdmm_tier_options *options)
{
    options->uri = nbd->uri;
    options->shared_table = nbd->shared_table;
    options->tls_psk_file = nbd->tls_psk_file;
    if (nbd->has_size) {
        options->size = nbd->size;
    }
    if (nbd->has_connections) {
        options->connections = nbd->connections;
    }
    if (nbd->has_queue_depth) {
        options->queue_depth = nbd->queue_depth;
    }
    if (nbd->has_discard) {
        options->discard = nbd->discard;
    }
    if (nbd->has_durable) {
        options->durable = nbd->durable;
    }
    if (nbd->has_request_timeout) {
        options->request_timeout = nbd->request_timeout;
    }
    if (nbd->has_lost_after) {
        options->lost_after = nbd->lost_after;
    }
}

static bool uffdmm_tier_options(HostMemoryBackendUffdmm *m, UffdmmTier *tier,
                                struct uffdmm_tier_options *options,
                                Error **errp)
{
    if (uffdmm_tier_options_init(options, sizeof(*options),
                                 uffdmm_tier_kinds[tier->kind])) {
        uffdmm_error(m, errp);
        return false;
    }
    options->name = tier->name;
    if (tier->kind == UFFDMM_TIER_KIND_RAM) {
        UffdmmTierRam *ram = &tier->u.ram;

        options->compression = ram->compression == UFFDMM_COMPRESSION_ZSTD
                               ? UFFDMM_ZSTD : UFFDMM_LZ4;
        if (ram->has_size) {
            options->size = ram->size;
        }
        if (ram->has_level) {
            options->level = ram->level;
        }
        if (ram->has_reject_percent) {
            options->reject_percent = ram->reject_percent;
        }
    } else if (tier->kind == UFFDMM_TIER_KIND_NBD) {
        uffdmm_nbd_options(&tier->u.nbd, options);
    } else {
        UffdmmTierFile *file = &tier->u.file;

        options->path = file->path;
        options->shared = file->has_shared && file->shared;
        if (file->has_size) {
            options->size = file->size;
        }
        if (file->has_keep) {
            options->keep = file->keep;
        }
        if (file->has_preallocate) {
            options->preallocate = file->preallocate;
        }
        if (file->has_discard) {
            options->discard = file->discard;
        }
        if (file->has_queue_depth) {
            options->queue_depth = file->queue_depth;
        }
    }
    return true;
}

static bool uffdmm_create_manager(HostMemoryBackendUffdmm *m,
                                  const struct uffdmm_event_handler *on_event,
                                  Error **errp)
{
    g_autofree struct uffdmm_tier_options *tiers = NULL;
    struct uffdmm_manager_options options;
    UffdmmTierList *tier;
    size_t count = 0;

    if (uffdmm_manager_options_init(&options, sizeof(options))) {
        uffdmm_error(m, errp);
        return false;
    }
    for (tier = m->tiers; tier; tier = tier->next) {
        tiers = g_renew(struct uffdmm_tier_options, tiers, count + 1);
        if (!uffdmm_tier_options(m, tier->value, &tiers[count++], errp)) {
            return false;
        }
    }
    options.limit = m->limit;
    options.tiers = tiers;
    options.tier_count = count;
    options.on_event = on_event;
    options.when_full = m->when_full == UFFDMM_WHEN_FULL_WAIT ? UFFDMM_WAIT
                                                              : UFFDMM_EXCEED;
    if (m->workers) {
        options.workers = m->workers;
    }
    if (m->staged_percent) {
        options.staged_percent = m->staged_percent;
    }
    m->workers = options.workers;
    m->staged_percent = options.staged_percent;
    if (uffdmm_manager_create(&options, &m->manager)) {
        uffdmm_error(m, errp);
        return false;
    }
    return true;
}

static bool uffdmm_load_manager(HostMemoryBackendUffdmm *m,
                                const struct uffdmm_event_handler *on_event,
                                Error **errp)
{
    if (uffdmm_manager_create_from_file(m->config, on_event, &m->manager)) {
        uffdmm_error(m, errp);
        return false;
    }
    if (uffdmm_manager_region_count(m->manager)) {
        error_setg(errp, "%s: 'regions' must be empty or missing: the memory "
                   "comes from the backend", m->config);
        return false;
    }
    if (m->limit && uffdmm_manager_set_limit(m->manager, m->limit)) {
        uffdmm_error(m, errp);
        return false;
    }
    return true;
}

static bool uffdmm_manage(HostMemoryBackendUffdmm *m, Error **errp)
{
    struct uffdmm_event_handler on_event = {
        .struct_size = sizeof(on_event),
        .on_event = uffdmm_on_event,
        .user_data = &m->notices,
    };
    HostMemoryBackend *backend = MEMORY_BACKEND(m);
    g_autofree char *name = host_memory_backend_get_name(backend);
    g_autofree char *eviction = g_strdup(UffdmmEviction_str(m->eviction));
    struct uffdmm_region_options options;

    if (m->config ? !uffdmm_load_manager(m, &on_event, errp)
                  : !uffdmm_create_manager(m, &on_event, errp)) {
        return false;
    }
    if (uffdmm_region_options_init(&options, sizeof(options))) {
        uffdmm_error(m, errp);
        return false;
    }
    options.name = name;
    options.size = backend->size;
    options.address = memory_region_get_ram_ptr(&backend->mr);
    if (backend->share) {
        options.kind = UFFDMM_SHARED_MEMORY;
        options.fd = qemu_ram_get_fd(backend->mr.ram_block);
    }
    /* Discards come by the pager: the library need not watch for madvise. */
    options.remove_events = 0;
    options.policy = g_strdelimit(eviction, "-", '_');
    options.prefetch = UffdmmPrefetch_str(m->prefetch);
    options.shards = m->shards;
    if (uffdmm_manager_add_region(m->manager, &options, &m->region)) {
        uffdmm_error(m, errp);
        return false;
    }
    return true;
}

/* -- the memory ------------------------------------------------------------ */

HostMemoryBackendUffdmm *uffdmm_backend(RAMBlock *rb)
{
    return qemu_ram_get_pager_opaque(rb);
}

static int uffdmm_pager_discard(RAMBlock *rb, uint64_t start, size_t length)
{
    return uffdmm_region_discard(uffdmm_backend(rb)->region, start, length);
}

static const RAMBlockPager uffdmm_pager = {
    .name = TYPE_MEMORY_BACKEND_UFFDMM,
    .discard = uffdmm_pager_discard,
    .save_begin = uffdmm_pager_save_begin,
    .save_page = uffdmm_pager_save_page,
    .save_end = uffdmm_pager_save_end,
    .load_begin = uffdmm_pager_load_begin,
    .load_data = uffdmm_pager_load_data,
    .load_zero = uffdmm_pager_load_zero,
    .load_flush = uffdmm_pager_load_flush,
    .load_end = uffdmm_pager_load_end,
    .location_size = UFFDMM_LOCATION_SIZE,
    .load_announcement = uffdmm_pager_load_announcement,
    .load_location = uffdmm_pager_load_location,
    .offer = uffdmm_pager_offer,
    .take_back = uffdmm_pager_take_back,
    .accept = uffdmm_pager_accept,
    .abandon = uffdmm_pager_abandon,
};

/* What goes against taking pages out of memory. */
static bool uffdmm_check_options(HostMemoryBackendUffdmm *m, Error **errp)
{
    HostMemoryBackend *backend = MEMORY_BACKEND(m);
    MachineState *machine = MACHINE(qdev_get_machine());

    if (!backend->size) {
        error_setg(errp, "can't create backend with size 0");
        return false;
    }
    if (!m->limit && !m->config) {
        error_setg(errp, "Parameter 'limit' is missing");
        error_append_hint(errp, "limit=SIZE is the host memory that the guest "
                          "memory may take; config=FILE can have it too.\n");
        return false;
    }
    if (m->config && (m->tiers || m->workers || m->staged_percent ||
                      m->has_when_full)) {
        error_setg(errp, "'config' and '%s' are mutually exclusive: the file "
                   "has it", m->tiers ? "tiers" : m->workers ? "workers" :
                   m->staged_percent ? "staged-percent" : "when-full");
        return false;
    }
    if (backend->prealloc) {
        error_setg(errp, "'prealloc=on' is not supported by %s: the memory "
                   "may be larger than its limit", TYPE_MEMORY_BACKEND_UFFDMM);
        return false;
    }
    if (backend->merge) {
        error_setg(errp, "'merge=on' is not supported by %s: pages that are "
                   "merged can't be taken out", TYPE_MEMORY_BACKEND_UFFDMM);
        return false;
    }
    if (backend->guest_memfd || machine->cgs) {
        error_setg(errp, "%s does not support confidential guests: the host "
                   "can't read their memory", TYPE_MEMORY_BACKEND_UFFDMM);
        return false;
    }
    if (mlock_state != MLOCK_OFF) {
        error_setg(errp, "-overcommit mem-lock=%s is not supported by %s: "
                   "locked memory can't be taken out",
                   mlock_state == MLOCK_ON ? "on" : "on-fault",
                   TYPE_MEMORY_BACKEND_UFFDMM);
        return false;
    }
    return true;
}

static bool uffdmm_allocate(HostMemoryBackend *backend, Error **errp)
{
    g_autofree char *name = host_memory_backend_get_name(backend);
    uint32_t flags = backend->reserve ? 0 : RAM_NORESERVE;
    int fd;

    if (!backend->share) {
        return memory_region_init_ram_flags_nomigrate(&backend->mr,
                                                      OBJECT(backend), name,
                                                      backend->size,
                                                      flags | RAM_PRIVATE,
                                                      errp);
    }
    fd = qemu_memfd_create(TYPE_MEMORY_BACKEND_UFFDMM, backend->size, false, 0,
                           F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL, errp);
    if (fd == -1) {
        return false;
    }
    return memory_region_init_ram_from_fd(&backend->mr, OBJECT(backend), name,
                                          backend->size, flags | RAM_SHARED,
                                          fd, 0, errp);
}

static bool
uffdmm_backend_memory_alloc(HostMemoryBackend *backend, Error **errp)
{
    HostMemoryBackendUffdmm *m = MEMORY_BACKEND_UFFDMM(backend);

    if (!uffdmm_check_options(m, errp)) {
        return false;
    }
    /* Devices that pin guest memory would use pages that were taken out. */
    if (ram_block_discard_require(true)) {
        error_setg(errp, "%s can't be used together with a device that pins "
                   "guest memory", TYPE_MEMORY_BACKEND_UFFDMM);
        return false;
    }
    m->discard_required = true;
    if (!uffdmm_refuse_vhost_user(errp)) {
        return false;
    }
    m->vhost_user_refused = true;
    m->notices.bh = qemu_bh_new(uffdmm_send_notices, m);

    backend->aligned = true;
    if (!uffdmm_allocate(backend, errp) || !uffdmm_manage(m, errp)) {
        return false;
    }
    qemu_ram_set_pager(backend->mr.ram_block, &uffdmm_pager, m);
    return true;
}

/* -- control --------------------------------------------------------------- */

/*
 * Taking pages out waits for tiers. The guest goes on meanwhile: the BQL is
 * not held, as in other monitor commands that wait for vCPUs.
 */
static int uffdmm_without_bql(HostMemoryBackendUffdmm *m,
                              int (*call)(HostMemoryBackendUffdmm *m,
                                          const UffdmmRange *argument),
                              const UffdmmRange *argument)
{
    int ret;

    object_ref(OBJECT(m));
    bql_unlock();
    ret = call(m, argument);
    bql_lock();
    object_unref(OBJECT(m));
    return ret;
}

static int uffdmm_do_set_limit(HostMemoryBackendUffdmm *m,
                               const UffdmmRange *limit)
{
    return uffdmm_manager_set_limit(m->manager, limit->length);
}

static int uffdmm_do_evict(HostMemoryBackendUffdmm *m, const UffdmmRange *range)
{
    return uffdmm_region_evict(m->region, range->offset, range->length, NULL);
}

static void uffdmm_backend_get_limit(Object *obj, Visitor *v, const char *name,
                                     void *opaque, Error **errp)
{
    HostMemoryBackendUffdmm *m = MEMORY_BACKEND_UFFDMM(obj);
    uint64_t value = m->manager ? uffdmm_manager_limit(m->manager) : m->limit;

    visit_type_size(v, name, &value, errp);
}

static void uffdmm_backend_set_limit(Object *obj, Visitor *v, const char *name,
                                     void *opaque, Error **errp)
{
    HostMemoryBackendUffdmm *m = MEMORY_BACKEND_UFFDMM(obj);
    UffdmmRange limit = { 0 };

    if (!visit_type_size(v, name, &limit.length, errp)) {
        return;
    }
    if (!limit.length) {
        error_setg(errp, "property '%s' of %s doesn't take value '0'", name,
                   TYPE_MEMORY_BACKEND_UFFDMM);
        return;
    }
    if (m->region && uffdmm_without_bql(m, uffdmm_do_set_limit, &limit)) {
        uffdmm_error(m, errp);
        return;
    }
    m->limit = limit.length;
}

static void uffdmm_backend_evict(Object *obj, Visitor *v, const char *name,
                                 void *opaque, Error **errp)
{
    HostMemoryBackendUffdmm *m = MEMORY_BACKEND_UFFDMM(obj);
    g_autoptr(UffdmmRange) range = NULL;

    if (!visit_type_UffdmmRange(v, name, &range, errp)) {
        return;
    }
    if (!m->region) {
        error_setg(errp, "property '%s' can only be set once the memory is "
                   "there", name);
        return;
    }
    if (!range->has_offset) {
        range->offset = 0;
    }
    if (!range->has_length) {
        range->length = MEMORY_BACKEND(m)->size -
                        MIN(range->offset, MEMORY_BACKEND(m)->size);
    }
    if (uffdmm_without_bql(m, uffdmm_do_evict, range)) {
        uffdmm_error(m, errp);
    }
}

static void uffdmm_backend_get_stats(Object *obj, Visitor *v, const char *name,
                                     void *opaque, Error **errp)
{
    HostMemoryBackendUffdmm *m = MEMORY_BACKEND_UFFDMM(obj);
    g_autoptr(UffdmmStats) stats = NULL;

    if (!m->region) {
        error_setg(errp, "property '%s' can only be read once the memory is "
                   "there", name);
        return;
    }
    stats = uffdmm_backend_stats(m, errp);
    if (stats) {
        visit_type_UffdmmStats(v, name, &stats, errp);
    }
}

/* -- options --------------------------------------------------------------- */

static bool uffdmm_may_change(Object *obj, const char *name, Error **errp)
{
    if (host_memory_backend_mr_inited(MEMORY_BACKEND(obj))) {
        error_setg(errp, "cannot change property '%s' of %s", name,
                   object_get_typename(obj));
        return false;
    }
    return true;
}

static void uffdmm_backend_get_tiers(Object *obj, Visitor *v, const char *name,
                                     void *opaque, Error **errp)
{
    HostMemoryBackendUffdmm *m = MEMORY_BACKEND_UFFDMM(obj);

    visit_type_UffdmmTierList(v, name, &m->tiers, errp);
}

static void uffdmm_backend_set_tiers(Object *obj, Visitor *v, const char *name,
                                     void *opaque, Error **errp)
{
    HostMemoryBackendUffdmm *m = MEMORY_BACKEND_UFFDMM(obj);
    UffdmmTierList *tiers = NULL;

    if (!uffdmm_may_change(obj, name, errp) ||
        !visit_type_UffdmmTierList(v, name, &tiers, errp)) {
        return;
    }
    qapi_free_UffdmmTierList(m->tiers);
    m->tiers = tiers;
}

static char *uffdmm_backend_get_config(Object *obj, Error **errp)
{
    return g_strdup(MEMORY_BACKEND_UFFDMM(obj)->config);
}

static void
uffdmm_backend_set_config(Object *obj, const char *value, Error **errp)
{
    HostMemoryBackendUffdmm *m = MEMORY_BACKEND_UFFDMM(obj);

    if (!uffdmm_may_change(obj, "config", errp)) {
        return;
    }
    g_free(m->config);
    m->config = g_strdup(value);
}

static int uffdmm_backend_get_eviction(Object *obj, Error **errp)
{
    return MEMORY_BACKEND_UFFDMM(obj)->eviction;
}

static void uffdmm_backend_set_eviction(Object *obj, int value, Error **errp)
{
    if (uffdmm_may_change(obj, "eviction", errp)) {
        MEMORY_BACKEND_UFFDMM(obj)->eviction = value;
    }
}

static int uffdmm_backend_get_prefetch(Object *obj, Error **errp)
{
    return MEMORY_BACKEND_UFFDMM(obj)->prefetch;
}

static void uffdmm_backend_set_prefetch(Object *obj, int value, Error **errp)
{
    if (uffdmm_may_change(obj, "prefetch", errp)) {
        MEMORY_BACKEND_UFFDMM(obj)->prefetch = value;
    }
}

static int uffdmm_backend_get_when_full(Object *obj, Error **errp)
{
    return MEMORY_BACKEND_UFFDMM(obj)->when_full;
}

static void uffdmm_backend_set_when_full(Object *obj, int value, Error **errp)
{
    if (uffdmm_may_change(obj, "when-full", errp)) {
        MEMORY_BACKEND_UFFDMM(obj)->when_full = value;
        MEMORY_BACKEND_UFFDMM(obj)->has_when_full = true;
    }
}

/* A number of the object that zero is no allowed value of. */
typedef struct UffdmmNumber {
    const char *name;
    const char *description;
    size_t offset;
    uint32_t most;
} UffdmmNumber;

static const UffdmmNumber uffdmm_numbers[] = {
    { "shards", "Number of threads that serve faults (1 to 64)",
      offsetof(HostMemoryBackendUffdmm, shards), 64 },
    { "workers", "Number of threads that compress pages (1 to 64)",
      offsetof(HostMemoryBackendUffdmm, workers), 64 },
    { "staged-percent", "Share of the limit for pages about to leave memory "
      "(1 to 50)",
      offsetof(HostMemoryBackendUffdmm, staged_percent), 50 },
};

static void uffdmm_backend_get_number(Object *obj, Visitor *v, const char *name,
                                      void *opaque, Error **errp)
{
    const UffdmmNumber *number = opaque;
    HostMemoryBackendUffdmm *m = MEMORY_BACKEND_UFFDMM(obj);

    visit_type_uint32(v, name, (uint32_t *)((char *)m + number->offset), errp);
}

static void uffdmm_backend_set_number(Object *obj, Visitor *v, const char *name,
                                      void *opaque, Error **errp)
{
    const UffdmmNumber *number = opaque;
    HostMemoryBackendUffdmm *m = MEMORY_BACKEND_UFFDMM(obj);
    uint32_t value;

    if (!uffdmm_may_change(obj, name, errp) ||
        !visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (!value || value > number->most) {
        error_setg(errp, "property '%s' of %s doesn't take value '%" PRIu32
                   "': allowed are 1 to %" PRIu32, name,
                   TYPE_MEMORY_BACKEND_UFFDMM, value, number->most);
        return;
    }
    *(uint32_t *)((char *)m + number->offset) = value;
}

static void uffdmm_backend_instance_init(Object *obj)
{
    HostMemoryBackendUffdmm *m = MEMORY_BACKEND_UFFDMM(obj);

    qemu_mutex_init(&m->notices.lock);
    m->eviction = UFFDMM_EVICTION_S3FIFO;
    m->prefetch = UFFDMM_PREFETCH_ADAPTIVE;
    m->shards = 1;
    m->migrate_locations = true;
    /* The memory may be larger than host memory and swap taken together. */
    MEMORY_BACKEND(obj)->reserve = false;
    MEMORY_BACKEND(obj)->merge = false;
}

static void uffdmm_backend_instance_finalize(Object *obj)
{
    HostMemoryBackendUffdmm *m = MEMORY_BACKEND_UFFDMM(obj);

    /* Takes the memory out of the library's hands before it is unmapped. */
    uffdmm_manager_destroy(m->manager);
    if (m->notices.bh) {
        qemu_bh_delete(m->notices.bh);
    }
    qemu_mutex_destroy(&m->notices.lock);
    if (m->discard_required) {
        ram_block_discard_require(false);
    }
    if (m->vhost_user_refused) {
        uffdmm_allow_vhost_user();
    }
    qapi_free_UffdmmTierList(m->tiers);
    g_free(m->config);
}

static void uffdmm_backend_class_init(ObjectClass *oc, void *data)
{
    HostMemoryBackendClass *bc = MEMORY_BACKEND_CLASS(oc);
    size_t i;

    bc->alloc = uffdmm_backend_memory_alloc;

    object_class_property_add(oc, "limit", "size", uffdmm_backend_get_limit,
                              uffdmm_backend_set_limit, NULL, NULL);
    object_class_property_set_description(oc, "limit",
        "Host memory that the guest memory may take, metadata included");
    object_class_property_add_str(oc, "config", uffdmm_backend_get_config,
                                  uffdmm_backend_set_config);
    object_class_property_set_description(oc, "config",
        "JSON file with the limit, the tiers and further options");
    object_class_property_add(oc, "tiers", "UffdmmTierList",
                              uffdmm_backend_get_tiers,
                              uffdmm_backend_set_tiers, NULL, NULL);
    object_class_property_set_description(oc, "tiers",
        "Where pages go that leave memory, in this order");
    object_class_property_add_enum(oc, "eviction", "UffdmmEviction",
                                   &UffdmmEviction_lookup,
                                   uffdmm_backend_get_eviction,
                                   uffdmm_backend_set_eviction);
    object_class_property_set_description(oc, "eviction",
        "Which pages leave memory first");
    object_class_property_add_enum(oc, "prefetch", "UffdmmPrefetch",
                                   &UffdmmPrefetch_lookup,
                                   uffdmm_backend_get_prefetch,
                                   uffdmm_backend_set_prefetch);
    object_class_property_set_description(oc, "prefetch",
        "Which faults bring in more than their own page");
    object_class_property_add_enum(oc, "when-full", "UffdmmWhenFull",
                                   &UffdmmWhenFull_lookup,
                                   uffdmm_backend_get_when_full,
                                   uffdmm_backend_set_when_full);
    object_class_property_set_description(oc, "when-full",
        "What a fault does when neither memory nor a tier has room");
    for (i = 0; i < ARRAY_SIZE(uffdmm_numbers); i++) {
        const UffdmmNumber *number = &uffdmm_numbers[i];

        object_class_property_add(oc, number->name, "uint32",
                                  uffdmm_backend_get_number,
                                  uffdmm_backend_set_number, NULL,
                                  (void *)number);
        object_class_property_set_description(oc, number->name,
                                              number->description);
    }
    object_class_property_add(oc, "stats", "UffdmmStats",
                              uffdmm_backend_get_stats, NULL, NULL, NULL);
    object_class_property_set_description(oc, "stats", "Statistics");
    object_class_property_add(oc, "evict", "UffdmmRange", NULL,
                              uffdmm_backend_evict, NULL, NULL);
    object_class_property_set_description(oc, "evict",
        "Set to take a range of the memory out to the tiers now");
    uffdmm_handover_class_init(oc);
}

static const TypeInfo uffdmm_backend_info = {
    .name = TYPE_MEMORY_BACKEND_UFFDMM,
    .parent = TYPE_MEMORY_BACKEND,
    .instance_init = uffdmm_backend_instance_init,
    .instance_finalize = uffdmm_backend_instance_finalize,
    .class_init = uffdmm_backend_class_init,
    .instance_size = sizeof(HostMemoryBackendUffdmm),
};

static void register_types(void)
{
    type_register_static(&uffdmm_backend_info);
}

type_init(register_types);
