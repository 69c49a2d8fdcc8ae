// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What becomes of memory that could be managed: told where the user asked (--verbose, --list), and
/// counted.

#include <cstddef>

#include "run/managed_space.hpp"
#include "run/match.hpp"

namespace preload {

struct candidate {
    memory_kind kind = memory_kind::anonymous;
    const char* name = ""; ///< a memfd's name, or a path
    std::size_t bytes = 0;
    const void* address = nullptr;
};

/// It is managed from now on; with --list it would be.
void report_taken(managed_space& s, const candidate& memory, const char* why) noexcept;
/// It is not.
void report_left(managed_space& s, const candidate& memory, const char* why) noexcept;
/// The program may say more about it.
void report_known(const managed_space& s, const candidate& memory, const char* why) noexcept;
/// Too small. Told with --list alone.
void report_ignored(const managed_space& s, const candidate& memory, const char* why) noexcept;

} // namespace preload
