// SPDX-License-Identifier: BSD-3-Clause
#include "run/recognition.hpp"

#include <array>
#include <cstdio>

#include <sys/mman.h>

#include "run/backing_file.hpp"
#include "run/inside.hpp"

namespace preload {
namespace {

constexpr int read_write = PROT_READ | PROT_WRITE;

bool shared(const mapping_request& mapping) noexcept {
    return (mapping.flags & MAP_TYPE) != MAP_PRIVATE;
}
bool anonymous(const mapping_request& mapping) noexcept {
    return (mapping.flags & MAP_ANONYMOUS) != 0;
}

const char* why_taken(memory_kind kind) noexcept {
    switch (kind) {
    case memory_kind::block:
        return "it is a block of malloc, from --threshold on";
    case memory_kind::reserved:
        return "it was reserved and became memory, from --threshold on";
    default:
        return "it is private memory, from --threshold on";
    }
}

} // namespace

const char* unfit(const mapping_request& mapping) noexcept {
    if ((mapping.flags & MAP_TYPE) != MAP_PRIVATE && (mapping.flags & MAP_TYPE) != MAP_SHARED)
        return "it is a device's (MAP_SHARED_VALIDATE)";
    if ((mapping.flags & MAP_HUGETLB) != 0)
        return "it is hugetlb memory";
    if ((mapping.flags & (MAP_GROWSDOWN | MAP_STACK)) != 0)
        return "it is a stack";
    if ((mapping.flags & MAP_LOCKED) != 0)
        return "it is locked";
    if ((mapping.flags & MAP_32BIT) != 0)
        return "it wants a low address";
    return nullptr;
}

memory_kind kind_of(const mapping_request& mapping, std::array<char, 160>& name) noexcept {
    name[0] = '\0';
    if (anonymous(mapping))
        return shared(mapping) ? memory_kind::shared : memory_kind::anonymous;
    const inside_scope library;
    const backing_file file = inspect(mapping.fd);
    name = file.name;
    return file.what == backing_file::kind::memfd ? memory_kind::memfd : memory_kind::file;
}

judgement judge(const settings& asked, memory_kind kind, const char* name,
                std::size_t bytes) noexcept {
    const match_rule* const rule = first_fit(asked.rules, kind, name, bytes);
    const bool large = bytes >= asked.threshold;
    if (rule != nullptr && !rule->take)
        return {action::leave, rule->reason.c_str()};
    if (rule != nullptr && (large || rule->least != 0))
        return {action::take, rule->reason.c_str()};
    if (!large)
        return {action::ignore, "it is below --threshold"};
    if (kind == memory_kind::shared || kind == memory_kind::memfd || kind == memory_kind::file)
        return {action::remember, "it can be shared, until MADV_DONTFORK says that it is not"};
    return {action::take, why_taken(kind)};
}

judgement judge(const settings& asked, const mapping_request& mapping) noexcept {
    const bool large = mapping.bytes >= asked.threshold;
    if (const char* const why = unfit(mapping); why != nullptr)
        return {large ? action::leave : action::ignore, why};
    if (mapping.protection == PROT_NONE && anonymous(mapping) && !shared(mapping))
        return {action::remember, "it is inaccessible, until it becomes memory"};
    if (mapping.protection != read_write)
        return {large ? action::leave : action::ignore,
                "it is not readable and writable, or executable"};
    std::array<char, 160> name{};
    const memory_kind kind = kind_of(mapping, name);
    return judge(asked, kind, name.data(), mapping.bytes);
}

const char* obstacle(const mapping_request& mapping, char* text, std::size_t room) noexcept {
    if (touched(mapping.begin(), mapping.end()))
        return "the program has used it already";
    if (anonymous(mapping))
        return nullptr;
    const backing_file file = inspect(mapping.fd);
    const char* const name = file.name.data();
    const auto say = [&](const char* format) {
        (void)std::snprintf(text, room, format, name); // NOLINT(clang-diagnostic-format-nonliteral)
        return text;
    };
    if (file.what == backing_file::kind::not_a_file)
        return say("it is a device's, %s");
    if (file.what == backing_file::kind::hugetlb)
        return say("it is hugetlb memory, %s");
    if (has_data(mapping.fd, mapping.offset, mapping.bytes))
        return say("the file %s has contents already");
    if (shared(mapping) && mapped_elsewhere(file.identity, mapping.begin(), mapping.end()))
        return say("the program maps %s twice");
    if (shared(mapping) && file.named)
        return say("another process can open %s; a mem-path that is a directory, or share=off, "
                   "keeps it to this one");
    return nullptr;
}

} // namespace preload
