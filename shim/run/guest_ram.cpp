// SPDX-License-Identifier: BSD-3-Clause
#include "run/guest_ram.hpp"

#include <array>

#include <sys/mman.h>
#include <unistd.h>

#include "run/backing_file.hpp"
#include "run/descriptors.hpp"
#include "run/inside.hpp"
#include "run/raw_calls.hpp"
#include "run/recognition.hpp"
#include "run/report.hpp"
#include "run/tell.hpp"

namespace preload {
namespace {

constexpr int cannot_start = 125;

struct described {
    std::array<char, 160> name;
    candidate memory;
};

void describe(described& text, const mapping_request& mapping) noexcept {
    text.memory.kind = kind_of(mapping, text.name);
    text.memory.name = text.name.data();
    text.memory.bytes = mapping.bytes;
    text.memory.address = mapping.address;
}

void leave(managed_space& s, const mapping_request& mapping, const char* why) noexcept {
    described text;
    describe(text, mapping);
    report_left(s, text.memory, why);
    if (mapping.fd >= 0)
        ::close(mapping.fd);
}

void refuse(managed_space& s, const mapping_request& mapping, const char* why) noexcept {
    const bool goes_on = s.asked().optional || s.asked().list;
    if (!s.asked().list)
        tell("guest memory of %zu bytes at %p cannot be managed: %s%s", mapping.bytes,
             mapping.address, why, goes_on ? "; it stays unmanaged" : "");
    if (!goes_on)
        ::_exit(cannot_start);
    leave(s, mapping, why);
}

void tell_taken(managed_space& s, const mapping_request& mapping, const char* why) noexcept {
    described text;
    describe(text, mapping);
    report_taken(s, text.memory, why);
}

bool place(const mapping_request& mapping, int flags, int fd) noexcept {
    return raw::map(mapping.address, mapping.bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd,
                    fd < 0 ? 0 : mapping.offset) == mapping.address;
}

stand_in looks_of(const mapping_request& mapping) noexcept {
    stand_in looks;
    looks.shared = (mapping.flags & MAP_TYPE) == MAP_SHARED;
    looks.fd = mapping.fd;
    looks.offset = mapping.offset;
    (void)identify(mapping.fd, looks.file);
    return looks;
}

void only_say(managed_space& s, const mapping_request& mapping, const char* why) noexcept {
    tell_taken(s, mapping, why);
    if (mapping.fd >= 0)
        ::close(mapping.fd);
}

/// Why memory that looks shared is not this process's alone; nullptr: it is.
const char* others_have_it(managed_space& s, const mapping_request& mapping) noexcept {
    if ((mapping.flags & MAP_TYPE) != MAP_SHARED)
        return nullptr;
    file_identity file;
    if (identify(mapping.fd, file) && s.given().contains(file))
        return "its file was sent to another process";
    if (mapping.forks != s.forks())
        return "the process forked after it was mapped, so that a child shares it";
    return nullptr;
}

} // namespace

void take_over(managed_space& s, const mapping_request& mapping, const char* why) noexcept {
    const inside_scope library;
    std::array<char, 320> text;
    if (const char* against = obstacle(mapping, text.data(), text.size());
        against != nullptr || (against = others_have_it(s, mapping)) != nullptr)
        return refuse(s, mapping, against);
    if (s.asked().list)
        return only_say(s, mapping, why);
    const stand_in looks = looks_of(mapping);
    const int name = looks.shared && looks.fd >= 0 ? name_of_file(looks.fd) : -1;
    if (looks.shared && looks.fd >= 0 && name < 0)
        return refuse(s, mapping, "its file cannot be opened by way of /proc");
    if (!place(mapping, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1))
        return refuse(s, mapping, "there is no room for private memory in its place");
    const bool managed = s.adopt(mapping.address, mapping.bytes, looks);
    if (managed && name >= 0 && !leave_names_only(name, looks.file, looks.fd))
        ::_exit(cannot_start);
    if (name >= 0)
        ::close(name);
    if (managed)
        return tell_taken(s, mapping, why);
    if (!place(mapping, mapping.flags & ~MAP_POPULATE, mapping.fd))
        ::_exit(cannot_start);
    refuse(s, mapping, "the library refused it");
}

} // namespace preload
