// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What a QEMU program exports to its modules and migration by locations needs. These are internal
/// interfaces of QEMU, so they are used in versions only whose layouts were compared: see `find`.

#include <cstddef>
#include <cstdint>
#include <string>

namespace preload::qemu {

struct QEMUFile;
struct RAMBlock;
struct Error;
struct VersionInfo;

/// Links that QEMU's lists need behind a callback.
struct list_links {
    void* next;
    void* previous;
};

struct notifier {
    void (*notify)(notifier* self, void* data);
    list_links links;
};

struct notifier_with_return {
    int (*notify)(notifier_with_return* self, void* data, Error** error);
    list_links links;
};

/// What a precopy notifier gets.
enum precopy_reason : int {
    precopy_setup = 0,
    precopy_before_bitmap_sync = 1,
    precopy_after_bitmap_sync = 2,
    precopy_complete = 3,
    precopy_cleanup = 4
};
struct precopy_data {
    precopy_reason reason;
};

/// What a part of the stream consists of, in the order in which QEMU has them.
struct savevm_handlers {
    void (*save_state)(QEMUFile*, void*);
    int (*save_prepare)(void*, Error**);
    int (*save_setup)(QEMUFile*, void*, Error**);
    void (*save_cleanup)(void*);
    int (*save_live_complete_postcopy)(QEMUFile*, void*);
    int (*save_live_complete_precopy)(QEMUFile*, void*);
    void* save_live_complete_precopy_thread;
    bool (*is_active)(void*);
    bool (*has_postcopy)(void*);
    bool (*is_active_iterate)(void*);
    int (*save_live_iterate)(QEMUFile*, void*);
    void (*state_pending_estimate)(void*, std::uint64_t*, std::uint64_t*);
    void (*state_pending_exact)(void*, std::uint64_t*, std::uint64_t*);
    int (*load_state)(QEMUFile*, void*, int);
    void* load_state_buffer;
    int (*load_setup)(QEMUFile*, void*, Error**);
    int (*load_cleanup)(void*);
    int (*resume_prepare)(void*, void*);
    bool (*switchover_ack_needed)(void*);
    int (*switchover_start)(void*);
};

struct calls {
    int (*register_savevm_live)(const char*, std::uint32_t, int, const savevm_handlers*, void*);
    void (*precopy_add_notifier)(notifier_with_return*);
    void* (*qemu_add_vm_change_state_handler_prio)(void (*)(void*, bool, int), void*, int);
    void (*qemu_guest_free_page_hint)(void*, std::size_t);

    int (*qemu_ram_foreach_block)(int (*)(RAMBlock*, void*), void*);
    RAMBlock* (*qemu_ram_block_by_name)(const char*);
    const char* (*qemu_ram_get_idstr)(RAMBlock*);
    void* (*qemu_ram_get_host_addr)(RAMBlock*);
    std::uint64_t (*qemu_ram_get_used_length)(RAMBlock*);
    bool (*qemu_ram_is_migratable)(RAMBlock*);

    void (*error_setg_internal)(Error**, const char* file, int line, const char* function,
                                const char* format, ...);
    void* (*qemu_file_get_ioc)(QEMUFile*);
    void* (*object_dynamic_cast)(void*, const char*);
    bool (*migration_rate_exceeded)(QEMUFile*);
    int (*qemu_file_get_error)(QEMUFile*);
    int (*qemu_fflush)(QEMUFile*);
    void (*qemu_put_byte)(QEMUFile*, int);
    void (*qemu_put_be64)(QEMUFile*, std::uint64_t);
    void (*qemu_put_buffer)(QEMUFile*, const void*, std::size_t);
    void (*qemu_put_counted_string)(QEMUFile*, const char*);
    int (*qemu_get_byte)(QEMUFile*);
    std::uint64_t (*qemu_get_be64)(QEMUFile*);
    std::size_t (*qemu_get_buffer)(QEMUFile*, void*, std::size_t);
    std::size_t (*qemu_get_counted_string)(QEMUFile*, char*);

    // What does not go with locations.
    bool (*migrate_multifd)();
    bool (*migrate_postcopy_ram)();
    bool (*migrate_background_snapshot)();
    bool (*migrate_mapped_ram)();
    bool (*migrate_ignore_shared)();
    bool (*migrate_colo)();
    bool (*migrate_xbzrle)();
    int (*migrate_mode)();
};

/// Calls `ready` once the program's machine is complete. False: the program has no such moment, it
/// is no QEMU that could be known. Before the program's main().
[[nodiscard]] bool when_machine_is_ready(void (*ready)()) noexcept;

/// Fills `found`; else says why this QEMU is not one that is known. On the main thread.
[[nodiscard]] std::string find(calls& found);

} // namespace preload::qemu
