// SPDX-License-Identifier: BSD-3-Clause
#include "run/recognition.hpp"

#include <cstdio>

#include <sys/mman.h>

#include "run/backing_file.hpp"

namespace preload {
namespace {

constexpr int read_write = PROT_READ | PROT_WRITE;

bool shared(const mapping_request& mapping) noexcept {
    return (mapping.flags & MAP_TYPE) != MAP_PRIVATE;
}
bool anonymous(const mapping_request& mapping) noexcept {
    return (mapping.flags & MAP_ANONYMOUS) != 0;
}

/// Why no mapping of that kind can be managed; nullptr: it may be.
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

} // namespace

judgement judge(const mapping_request& mapping) noexcept {
    if (const char* const why = unfit(mapping); why != nullptr)
        return {action::leave, why};
    if (mapping.protection == PROT_NONE && anonymous(mapping) && !shared(mapping))
        return {action::remember, nullptr};
    if (mapping.protection != read_write)
        return {action::leave, "it is not readable and writable, or executable"};
    return {anonymous(mapping) && !shared(mapping) ? action::take : action::remember, nullptr};
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
