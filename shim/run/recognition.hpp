// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Which mappings are to be managed. Private anonymous memory is, from its first moment on. Memory
/// that could be shared is known from then on, and taken when the program says that its children
/// are not to have it (MADV_DONTFORK): VMMs say so of guest RAM, and of little else. Rules of
/// the user come before.

#include <array>
#include <cstddef>
#include <cstdint>

#include "run/known_mappings.hpp"
#include "run/match.hpp"
#include "run/settings.hpp"

namespace preload {

enum class action : std::uint8_t {
    take,
    remember, ///< until the program says more about it
    leave,
    ignore ///< too small to speak of
};

struct judgement {
    action what = action::ignore;
    const char* why = nullptr; ///< not for ignore
};

/// Why no mapping of that kind can be managed; nullptr: it may be.
[[nodiscard]] const char* unfit(const mapping_request& mapping) noexcept;

/// `name` becomes the memfd's name, the file's path or "".
[[nodiscard]] memory_kind kind_of(const mapping_request& mapping,
                                  std::array<char, 160>& name) noexcept;

/// Of a new mapping.
[[nodiscard]] judgement judge(const settings& asked, const mapping_request& mapping) noexcept;
/// Of memory that can be managed.
[[nodiscard]] judgement judge(const settings& asked, memory_kind kind, const char* name,
                              std::size_t bytes) noexcept;

/// Why memory that the program keeps to itself cannot be managed; nullptr: it can. The memory was
/// not touched. `text` holds the answer.
[[nodiscard]] const char* obstacle(const mapping_request& mapping, char* text,
                                   std::size_t room) noexcept;

} // namespace preload
