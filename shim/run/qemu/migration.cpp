// SPDX-License-Identifier: BSD-3-Clause
#include "run/qemu/migration.hpp"

#include <cerrno>
#include <cinttypes>
#include <climits>
#include <cstdlib>
#include <string>

#include <unistd.h>

#include "run/inside.hpp"
#include "run/qemu/calls.hpp"
#include "run/qemu/handover.hpp"
#include "run/qemu/receiver.hpp"
#include "run/qemu/sender.hpp"
#include "run/qemu/stream.hpp"
#include "run/tell.hpp"

namespace preload::qemu {
namespace {

/// One for the process, made when its machine is ready, and never destroyed.
struct migration {
    calls qemu{};
    handover owner;
    sender out{qemu};
    receiver in{qemu, owner};
    bool stopped = false; ///< source: the last round has begun
    notifier_with_return on_precopy{};
};
migration* here = nullptr;
bool is_expected = false;

/// A capability that does not go with locations; nullptr: none is on.
const char* conflict() noexcept {
    const calls& qemu = here->qemu;
    if (qemu.migrate_multifd())
        return "multifd";
    if (qemu.migrate_postcopy_ram())
        return "postcopy-ram";
    if (qemu.migrate_background_snapshot())
        return "background-snapshot";
    if (qemu.migrate_mapped_ram())
        return "mapped-ram";
    if (qemu.migrate_ignore_shared())
        return "x-ignore-shared";
    if (qemu.migrate_colo())
        return "x-colo";
    if (qemu.migrate_xbzrle())
        return "xbzrle";
    return qemu.migrate_mode() != 0 ? "a mode that is not normal" : nullptr;
}

int failed(const char* what, const std::string& why) noexcept {
    tell("migration by locations: %s%s", what, why.c_str());
    return -EIO;
}

/// Slots that were named to a destination that does not get them are free to change again.
void end_leases() {
    if (here->out.active())
        return; // the end of the migration does
    std::string why;
    for (const moving_block& moving : moving_blocks(here->qemu, why)) {
        const inside_scope library;
        (void)moving.managed->begin_source({}); // its end cancels
    }
}

std::string take_over() {
    const inside_scope library;
    return here->owner.take_over(end_leases);
}

// ---- source -------------------------------------------------------------------------------------

/// Locations are good once, and for somebody who takes part meanwhile: not for a file, and nobody
/// knows what is behind a command.
bool is_connection(QEMUFile* file) noexcept {
    void* const channel = here->qemu.qemu_file_get_ioc(file);
    return channel != nullptr &&
           (here->qemu.object_dynamic_cast(channel, "qio-channel-socket") != nullptr ||
            here->qemu.object_dynamic_cast(channel, "qio-channel-tls") != nullptr);
}

void announce(QEMUFile* file, const std::vector<moving_block>& blocks) {
    const calls& qemu = here->qemu;
    uffdmm::shared_store& store = *blocks.front().managed->store();
    const uffdmm::encoded_volume_name volume = encode(store.volume());
    qemu.qemu_put_be64(file, encode({record_type::announcement}));
    qemu.qemu_put_buffer(file, volume.data(), volume.size());
    qemu.qemu_put_buffer(file, here->owner.nonce().data(), here->owner.nonce().size());
    qemu.qemu_put_byte(file, static_cast<int>(blocks.size()));
    for (const moving_block& moving : blocks) {
        qemu.qemu_put_counted_string(file, moving.name.c_str());
        qemu.qemu_put_be64(file, moving.bytes);
    }
}

int end_section(QEMUFile* file) {
    here->qemu.qemu_put_be64(file, encode({record_type::end}));
    return here->qemu.qemu_fflush(file);
}

bool is_active(void*) {
    return conflict() == nullptr;
}

/// "" or what is wrong. Where there are no locations the section is empty, and QEMU's own has
/// everything.
std::string set_up(QEMUFile* file) {
    here->stopped = false;
    if (std::string wrong = take_over(); !wrong.empty())
        return wrong;
    std::string why = is_connection(file) ? "" : "not to a file or a command";
    std::vector<moving_block> blocks;
    if (why.empty())
        blocks = moving_blocks(here->qemu, why);
    if (why.empty()) {
        const inside_scope library;
        why = here->owner.announce(*blocks.front().managed->store());
    }
    if (!why.empty()) {
        tell("migration goes with all contents: %s", why.c_str());
        return {};
    }
    announce(file, blocks);
    if (std::string wrong = here->out.begin(std::move(blocks)); !wrong.empty())
        return wrong;
    // QEMU has set up its bitmap by now, and would spend the rate on contents first.
    here->out.take_pages();
    return here->out.send_pending(file, false);
}

/// QEMU relies on an error where this fails.
int save_setup(QEMUFile* file, void*, Error** error) {
    std::string wrong = set_up(file);
    if (end_section(file) < 0 && wrong.empty())
        wrong = "the connection is broken";
    if (wrong.empty())
        return 0;
    here->qemu.error_setg_internal(error, __FILE__, __LINE__, __func__,
                                   "migration by locations: %s", wrong.c_str());
    return -EIO;
}

void pending(void*, std::uint64_t* must_precopy, std::uint64_t*) {
    *must_precopy += here->out.pending_bytes();
}

int save_iterate(QEMUFile* file, void*) {
    const std::string wrong = here->out.send_pending(file, false);
    const int flushed = end_section(file);
    if (!wrong.empty())
        return failed("", wrong);
    return flushed < 0 ? flushed : here->out.done();
}

int save_complete(QEMUFile* file, void*) {
    if (!here->out.active())
        return end_section(file);
    if (const std::string wrong = here->out.send_pending(file, true); !wrong.empty())
        return failed("", wrong);
    std::string wrong;
    {
        const inside_scope library;
        wrong = here->owner.offer();
    }
    if (!wrong.empty())
        return failed("the store's volume cannot be offered: ", wrong);
    here->qemu.qemu_put_be64(file, encode({record_type::offered}));
    return end_section(file);
}

void save_cleanup(void*) {
    if (!here->out.active())
        return;
    const sender::tally sent = here->out.sent();
    here->out.end(here->owner.now() == handover::side::offered);
    tell("migration by locations: %" PRIu64 " pages went as locations, %" PRIu64
         " as zeros, %" PRIu64 " as patterns, %" PRIu64 " with contents from a tier, %" PRIu64
         " that had come into memory",
         sent.located, sent.zeros, sent.patterns, sent.swapped, sent.resident);
}

int on_precopy(notifier_with_return*, void* data, Error**) {
    const precopy_reason reason = static_cast<const precopy_data*>(data)->reason;
    if (reason == precopy_setup)
        if (const char* const why = conflict(); why != nullptr)
            tell("migration goes with all contents: %s does not go with locations", why);
    if (reason == precopy_complete)
        here->stopped = true;
    if (reason == precopy_after_bitmap_sync && !here->stopped && here->out.active())
        here->out.take_pages();
    return 0;
}

// ---- destination --------------------------------------------------------------------------------

int load_state(QEMUFile* file, void*, int) {
    const std::string wrong = here->in.load(file);
    return wrong.empty() ? 0 : failed("", wrong);
}

int load_cleanup(void*) {
    here->in.end();
    return 0;
}

// ---- both ---------------------------------------------------------------------------------------

/// The guest is about to run. It must not where its memory is another's, and QEMU cannot be told
/// so any more.
void on_run_state(void*, bool running, int) {
    if (!running)
        return;
    if (const std::string wrong = take_over(); !wrong.empty()) {
        tell("the guest must not run here: %s", wrong.c_str());
        ::_exit(EXIT_FAILURE);
    }
}

const savevm_handlers handlers = [] {
    savevm_handlers h{};
    h.save_setup = save_setup;
    h.save_cleanup = save_cleanup;
    h.save_live_complete_precopy = save_complete;
    h.is_active = is_active;
    h.save_live_iterate = save_iterate;
    h.state_pending_estimate = pending;
    h.state_pending_exact = pending;
    h.load_state = load_state;
    h.load_cleanup = load_cleanup;
    return h;
}();

void on_ready() {
    std::string wrong;
    {
        const inside_scope library;
        here = new migration;
        wrong = find(here->qemu);
    }
    if (!wrong.empty())
        return tell("--migrate-locations: migration goes with all contents: %s", wrong.c_str());
    // After QEMU's own section for RAM, which is there by now; before any device is told to run.
    here->on_precopy.notify = on_precopy;
    (void)here->qemu.register_savevm_live(section_name, 0, section_version, &handlers, nullptr);
    here->qemu.precopy_add_notifier(&here->on_precopy);
    (void)here->qemu.qemu_add_vm_change_state_handler_prio(on_run_state, nullptr, INT_MIN);
}

} // namespace

void migrate_by_locations() noexcept {
    is_expected = when_machine_is_ready(on_ready);
}

bool expected() noexcept {
    return is_expected;
}

} // namespace preload::qemu
