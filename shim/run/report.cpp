// SPDX-License-Identifier: BSD-3-Clause
#include "run/report.hpp"

#include <array>
#include <cstdio>

#include "run/tell.hpp"

namespace preload {
namespace {

/// Smaller mappings are not worth a line.
constexpr std::size_t least_listed = std::size_t{1} << 20;

using size_text = std::array<char, 24>;

/// "256M", or bytes.
size_text text_of(std::size_t bytes) noexcept {
    size_text text;
    if (bytes != 0 && bytes % (std::size_t{1} << 20) == 0)
        (void)std::snprintf(text.data(), text.size(), "%zuM", bytes >> 20);
    else if (bytes != 0 && bytes % 1024 == 0)
        (void)std::snprintf(text.data(), text.size(), "%zuK", bytes >> 10);
    else
        (void)std::snprintf(text.data(), text.size(), "%zu", bytes);
    return text;
}

void say(const char* verb, const candidate& memory, const char* why) noexcept {
    const bool named = memory.name[0] != '\0';
    tell("%s %s at %p, %s%s%s%s: %s", verb, text_of(memory.bytes).data(), memory.address,
         name_of(memory.kind), named ? " \"" : "", memory.name, named ? "\"" : "", why);
}

} // namespace

void report_taken(managed_space& s, const candidate& memory, const char* why) noexcept {
    s.counts().add(memory.kind == memory_kind::block ? count::large_blocks : count::mappings);
    if (s.asked().list || s.asked().verbose)
        say(s.asked().list ? "would take" : "takes", memory, why);
}

void report_left(managed_space& s, const candidate& memory, const char* why) noexcept {
    s.counts().add(count::unmanaged);
    if (s.asked().list || s.asked().verbose)
        say(s.asked().list ? "would leave" : "leaves", memory, why);
}

void report_known(const managed_space& s, const candidate& memory, const char* why) noexcept {
    if (s.asked().list || s.asked().verbose)
        say("watches", memory, why);
}

void report_ignored(const managed_space& s, const candidate& memory, const char* why) noexcept {
    if (s.asked().list && memory.bytes >= least_listed)
        say("would leave", memory, why);
}

} // namespace preload
