// SPDX-License-Identifier: BSD-3-Clause
#include "run/qemu/calls.hpp"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include <dlfcn.h>

namespace preload::qemu {
namespace {

struct version {
    std::int64_t major;
    std::int64_t minor;
    std::int64_t micro;

    friend bool operator==(const version&, const version&) = default;
};

/// Layouts and the order of events were compared with the sources of these.
constexpr std::array known_versions{version{10, 0, 2}};

/// As QEMU's schema has it.
struct version_info {
    version* numbers;
    char* package;
};

template <typename Function>
bool look_up(Function& function, const char* name) noexcept {
    void* const symbol = ::dlsym(RTLD_DEFAULT, name);
    if (symbol != nullptr)
        std::memcpy(&function, &symbol, sizeof function);
    return symbol != nullptr;
}

std::string text_of(const version& v) {
    std::array<char, 96> text;
    (void)std::snprintf(text.data(), text.size(), "%" PRId64 ".%" PRId64 ".%" PRId64, v.major,
                        v.minor, v.micro);
    return text.data();
}

/// "": a version that is known.
std::string objection_to_version() {
    VersionInfo* (*query)(Error**) = nullptr;
    void (*release)(VersionInfo*) = nullptr;
    if (!look_up(query, "qmp_query_version") || !look_up(release, "qapi_free_VersionInfo"))
        return "it does not tell its version";
    VersionInfo* const answer = query(nullptr);
    version_info info{};
    std::memcpy(&info, answer, sizeof info);
    const version running = *info.numbers;
    release(answer);
    if (std::find(known_versions.begin(), known_versions.end(), running) != known_versions.end())
        return {};
    std::string text = "it is QEMU ";
    text.append(text_of(running)).append("; known are");
    for (const version& known : known_versions)
        text.append(" ").append(text_of(known));
    return text;
}

/// Collects the names of what is not there.
class finder {
  public:
    template <typename Function>
    void operator()(Function& function, const char* name) {
        if (!look_up(function, name))
            missing_.append(" ").append(name);
    }
    [[nodiscard]] const std::string& missing() const { return missing_; }

  private:
    std::string missing_;
};

notifier on_ready{};
void (*call_when_ready)() = nullptr;

} // namespace

bool when_machine_is_ready(void (*ready)()) noexcept {
    void (*add)(notifier*) = nullptr;
    if (!look_up(add, "qemu_add_machine_init_done_notifier"))
        return false;
    call_when_ready = ready;
    on_ready.notify = [](notifier*, void*) { call_when_ready(); };
    add(&on_ready);
    return true;
}

std::string find(calls& found) {
    if (std::string objection = objection_to_version(); !objection.empty())
        return objection;
    finder find;
    void* x86 = nullptr; // whose pages are 4 KiB
    find(x86, "cpu_x86_cpuid");
    find(found.register_savevm_live, "register_savevm_live");
    find(found.precopy_add_notifier, "precopy_add_notifier");
    find(found.qemu_add_vm_change_state_handler_prio, "qemu_add_vm_change_state_handler_prio");
    find(found.qemu_guest_free_page_hint, "qemu_guest_free_page_hint");
    find(found.qemu_ram_foreach_block, "qemu_ram_foreach_block");
    find(found.qemu_ram_block_by_name, "qemu_ram_block_by_name");
    find(found.qemu_ram_get_idstr, "qemu_ram_get_idstr");
    find(found.qemu_ram_get_host_addr, "qemu_ram_get_host_addr");
    find(found.qemu_ram_get_used_length, "qemu_ram_get_used_length");
    find(found.qemu_ram_is_migratable, "qemu_ram_is_migratable");
    find(found.error_setg_internal, "error_setg_internal");
    find(found.qemu_file_get_ioc, "qemu_file_get_ioc");
    find(found.object_dynamic_cast, "object_dynamic_cast");
    find(found.migration_rate_exceeded, "migration_rate_exceeded");
    find(found.qemu_file_get_error, "qemu_file_get_error");
    find(found.qemu_fflush, "qemu_fflush");
    find(found.qemu_put_byte, "qemu_put_byte");
    find(found.qemu_put_be64, "qemu_put_be64");
    find(found.qemu_put_buffer, "qemu_put_buffer");
    find(found.qemu_put_counted_string, "qemu_put_counted_string");
    find(found.qemu_get_byte, "qemu_get_byte");
    find(found.qemu_get_be64, "qemu_get_be64");
    find(found.qemu_get_buffer, "qemu_get_buffer");
    find(found.qemu_get_counted_string, "qemu_get_counted_string");
    find(found.migrate_multifd, "migrate_multifd");
    find(found.migrate_postcopy_ram, "migrate_postcopy_ram");
    find(found.migrate_background_snapshot, "migrate_background_snapshot");
    find(found.migrate_mapped_ram, "migrate_mapped_ram");
    find(found.migrate_ignore_shared, "migrate_ignore_shared");
    find(found.migrate_colo, "migrate_colo");
    find(found.migrate_xbzrle, "migrate_xbzrle");
    find(found.migrate_mode, "migrate_mode");
    if (find.missing().empty())
        return {};
    return std::string("it does not export").append(find.missing());
}

} // namespace preload::qemu
