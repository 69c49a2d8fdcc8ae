/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Handing over what pagers have stored where both sides of a migration read
 * (see system/ramblock-pager.h)
 *
 * Such pages go as locations, and their owner changes with the guest's:
 *
 *     source                                     destination
 *     setup        announcements ------------->  load_announcement(), or the
 *                                                migration ends here
 *     rounds       locations ----------------->  load_location()
 *     stopped      offer(), and word of it --->
 *     vm_start()   take_back()                   accept()   vm_start()
 *
 * One of take_back() and accept() succeeds, whatever became of the other side
 * and of the connection, so the guest starts on one side. Announcements and
 * word of the offer are a section of their own. Without locations there is
 * none, and the stream is that of any QEMU.
 */

#include "qemu/osdep.h"
#include "io/channel-socket.h"
#include "io/channel-tls.h"
#include "migration/misc.h"
#include "migration/register.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "ram.h"
#include "ram-pager.h"

#define RAM_HANDOVER_VERSION 1

/* What the section says. Blocks and an empty name follow ANNOUNCEMENTS. */
enum {
    RAM_HANDOVER_ANNOUNCEMENTS = 1,
    RAM_HANDOVER_OFFERED = 2,
};

/*
 * Locations are good once, and for somebody who takes part while this QEMU
 * waits: not in a file, and nobody knows what is behind a command.
 */
bool ram_handover_possible(QEMUFile *f)
{
    Object *ioc = OBJECT(qemu_file_get_ioc(f));

    return object_dynamic_cast(ioc, TYPE_QIO_CHANNEL_SOCKET) ||
           object_dynamic_cast(ioc, TYPE_QIO_CHANNEL_TLS);
}

static bool ram_handover_announced(RAMBlock *block)
{
    return block->pager_announcement && block->pager_announcement->len;
}

/* -- source ---------------------------------------------------------------- */

static bool ram_handover_is_active(void *opaque)
{
    RAMBlock *block;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH_NOT_IGNORED(block) {
        if (ram_handover_announced(block)) {
            return true;
        }
    }
    return false;
}

static int ram_handover_save_setup(QEMUFile *f, void *opaque, Error **errp)
{
    RAMBlock *block;

    qemu_put_byte(f, RAM_HANDOVER_ANNOUNCEMENTS);
    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH_NOT_IGNORED(block) {
        if (ram_handover_announced(block)) {
            qemu_put_counted_string(f, block->idstr);
            qemu_put_counted_string(f, block->pager->name);
            qemu_put_byte(f, block->pager->location_size);
            qemu_put_be16(f, block->pager_announcement->len);
            qemu_put_buffer(f, block->pager_announcement->data,
                            block->pager_announcement->len);
        }
    }
    qemu_put_byte(f, 0);
    return qemu_fflush(f);
}

/* After the last page: the section is registered after that of RAM. */
static int ram_handover_save_complete(QEMUFile *f, void *opaque)
{
    RAMBlock *block;
    Error *err = NULL;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH_NOT_IGNORED(block) {
        if (!ram_handover_announced(block)) {
            continue;
        }
        /* Even if it fails, for nobody knows how far it got. */
        block->pager_stored = RAM_BLOCK_STORED_OFFERED;
        if (!block->pager->offer(block, &err)) {
            error_prepend(&err, "block %s can't be handed over: ",
                          block->idstr);
            error_report_err(err);
            return -EIO;
        }
    }
    qemu_put_byte(f, RAM_HANDOVER_OFFERED);
    return 0;
}

/* -- destination ----------------------------------------------------------- */

static RAMBlock *ram_handover_find_block(const char *name, const char *pager,
                                         size_t location_size, Error **errp)
{
    RAMBlock *block = qemu_ram_block_by_name(name);

    if (!block) {
        error_setg(errp, "there is no such block");
    } else if (!block->pager) {
        error_setg(errp, "the block has no pager here");
    } else if (strcmp(block->pager->name, pager) ||
               block->pager->location_size != location_size) {
        error_setg(errp, "%s does not understand the locations of %s",
                   block->pager->name, pager);
    } else {
        return block;
    }
    return NULL;
}

/* Returns whether there are more; -EINVAL or so after reporting an error. */
static int ram_handover_load_announcement(QEMUFile *f)
{
    g_autofree uint8_t *announcement = NULL;
    char name[256], pager[256];
    size_t location_size, length;
    RAMBlock *block;
    Error *err = NULL;
    int ret;

    if (!qemu_get_counted_string(f, name)) {
        return qemu_file_get_error(f);
    }
    if (!qemu_get_counted_string(f, pager)) {
        return qemu_file_get_error(f) ?: -EINVAL;
    }
    location_size = qemu_get_byte(f);
    length = qemu_get_be16(f);
    announcement = g_malloc(length);
    qemu_get_buffer(f, announcement, length);
    ret = qemu_file_get_error(f);
    if (ret) {
        return ret;
    }
    block = ram_handover_find_block(name, pager, location_size, &err);
    if (!block || !block->pager->load_announcement(block, announcement, length,
                                                   &err)) {
        error_prepend(&err, "block %s is sent by locations, which can't be "
                      "used here: ", name);
        error_report_err(err);
        return -EINVAL;
    }
    block->pager_stored = RAM_BLOCK_STORED_ANNOUNCED;
    return 1;
}

static int ram_handover_load_offered(void)
{
    RAMBlock *block;

    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH(block) {
        if (block->pager_stored == RAM_BLOCK_STORED_ANNOUNCED) {
            block->pager_stored = RAM_BLOCK_STORED_RECEIVED;
        }
    }
    return 0;
}

static int ram_handover_load(QEMUFile *f, void *opaque, int version_id)
{
    int what = qemu_get_byte(f);
    int ret;

    switch (what) {
    case RAM_HANDOVER_ANNOUNCEMENTS:
        do {
            ret = ram_handover_load_announcement(f);
        } while (ret > 0);
        return ret;
    case RAM_HANDOVER_OFFERED:
        return ram_handover_load_offered();
    default:
        error_report("a handover of RAM can't say %d", what);
        return -EINVAL;
    }
}

void ram_handover_abandon(RAMBlock *block)
{
    if (block->pager_stored == RAM_BLOCK_STORED_ANNOUNCED ||
        block->pager_stored == RAM_BLOCK_STORED_RECEIVED) {
        block->pager->abandon(block);
        block->pager_stored = RAM_BLOCK_STORED_OURS;
    }
}

/* -- who runs the guest ---------------------------------------------------- */

static bool ram_handover_take_block(RAMBlock *block, Error **errp)
{
    ERRP_GUARD();

    switch (block->pager_stored) {
    case RAM_BLOCK_STORED_OURS:
        return true;
    case RAM_BLOCK_STORED_OFFERED:
        if (!block->pager->take_back(block, errp)) {
            error_prepend(errp, "the destination has taken block %s over, so "
                          "the guest can't run here: ", block->idstr);
            return false;
        }
        break;
    case RAM_BLOCK_STORED_ANNOUNCED:
        error_setg(errp, "the source has not offered what it has stored of "
                   "block %s", block->idstr);
        return false;
    case RAM_BLOCK_STORED_RECEIVED:
        if (!block->pager->accept(block, errp)) {
            error_prepend(errp, "what the source has stored of block %s can't "
                          "be taken over: ", block->idstr);
            return false;
        }
        break;
    }
    block->pager_stored = RAM_BLOCK_STORED_OURS;
    return true;
}

static gint ram_handover_order(gconstpointer a, gconstpointer b)
{
    return strcmp((*(RAMBlock **)a)->idstr, (*(RAMBlock **)b)->idstr);
}

/*
 * Both sides begin with the same block, which one of them gets. The other one
 * leaves the others alone.
 */
bool ram_handover_take_over(Error **errp)
{
    g_autoptr(GPtrArray) blocks = g_ptr_array_new();
    RAMBlock *block;
    guint i;

    WITH_RCU_READ_LOCK_GUARD() {
        RAMBLOCK_FOREACH(block) {
            if (block->pager_stored != RAM_BLOCK_STORED_OURS) {
                g_ptr_array_add(blocks, block);
            }
        }
    }
    g_ptr_array_sort(blocks, ram_handover_order);
    for (i = 0; i < blocks->len; i++) {
        if (!ram_handover_take_block(g_ptr_array_index(blocks, i), errp)) {
            return false;
        }
    }
    return true;
}

static const SaveVMHandlers ram_handover_handlers = {
    .is_active = ram_handover_is_active,
    .save_setup = ram_handover_save_setup,
    .save_live_complete_precopy = ram_handover_save_complete,
    .load_state = ram_handover_load,
};

void ram_handover_init(void)
{
    register_savevm_live("ram-locations", 0, RAM_HANDOVER_VERSION,
                         &ram_handover_handlers, NULL);
}
