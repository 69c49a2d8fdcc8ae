// SPDX-License-Identifier: BSD-3-Clause
#include "run/known_mappings.hpp"

#include <algorithm>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "run/inside.hpp"
#include "run/pthread_lock.hpp"

namespace preload {
namespace {

/// What is left of [begin, end) without [from, to): the larger side.
void cut(mapping_request& mapping, std::uintptr_t from, std::uintptr_t to) noexcept {
    const std::uintptr_t begin = mapping.begin();
    const std::size_t before = from > begin ? from - begin : 0;
    const std::size_t after = to < mapping.end() ? mapping.end() - to : 0;
    if (before < after) {
        mapping.address = reinterpret_cast<void*>(to); // NOLINT(performance-no-int-to-ptr)
        mapping.offset += static_cast<off_t>(to - begin);
    }
    mapping.bytes = std::max(before, after);
}

} // namespace

void known_mappings::drop(mapping_request& mapping) noexcept {
    if (mapping.bytes == 0)
        return;
    if (mapping.fd >= 0)
        ::close(mapping.fd);
    mapping = {};
    count_.fetch_sub(1);
}

void known_mappings::remember(mapping_request mapping) noexcept {
    const inside_scope library;
    if (mapping.fd >= 0)
        mapping.fd = ::fcntl(mapping.fd, F_DUPFD_CLOEXEC, 0);
    const pthread_lock hold(changes_);
    mapping_request& entry = mappings_[next_++ % most];
    drop(entry);
    entry = mapping;
    count_.fetch_add(1);
}

void known_mappings::forget(const void* address, std::size_t bytes) noexcept {
    if (count_.load() == 0)
        return;
    const inside_scope library;
    const auto from = reinterpret_cast<std::uintptr_t>(address);
    const pthread_lock hold(changes_);
    for (mapping_request& mapping : mappings_) {
        if (mapping.bytes == 0 || from >= mapping.end() || from + bytes <= mapping.begin())
            continue;
        if (from <= mapping.begin() && from + bytes >= mapping.end())
            drop(mapping);
        else
            cut(mapping, from, from + bytes);
    }
}

std::optional<mapping_request> known_mappings::take(const void* address,
                                                    std::size_t bytes) noexcept {
    if (count_.load() == 0)
        return std::nullopt;
    const pthread_lock hold(changes_);
    for (mapping_request& mapping : mappings_)
        if (mapping.bytes == bytes && mapping.address == address) {
            const mapping_request found = mapping;
            mapping = {};
            count_.fetch_sub(1);
            return found;
        }
    return std::nullopt;
}

bool known_mappings::reserved(const void* address, std::size_t bytes) const noexcept {
    if (count_.load() == 0)
        return false;
    const auto from = reinterpret_cast<std::uintptr_t>(address);
    const pthread_lock hold(changes_);
    return std::any_of(mappings_.begin(), mappings_.end(), [&](const mapping_request& mapping) {
        return mapping.protection == PROT_NONE && from >= mapping.begin() &&
               from + bytes <= mapping.end();
    });
}

} // namespace preload
