// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Which mappings are to be managed. Private anonymous memory is, from its first moment on. Memory
/// that could be shared is known from then on, and taken when the program says that its children
/// are not to have it (MADV_DONTFORK): VMMs say so of guest RAM, and of little else.

#include <cstddef>

#include "run/known_mappings.hpp"

namespace preload {

enum class action : unsigned char {
    take,
    remember, ///< until the program says more about it
    leave
};

struct judgement {
    action what = action::leave;
    const char* why = nullptr; ///< for leave
};

/// Of a new mapping that is large enough.
[[nodiscard]] judgement judge(const mapping_request& mapping) noexcept;

/// Why memory that the program keeps to itself cannot be managed; nullptr: it can. The memory was
/// not touched. `text` holds the answer.
[[nodiscard]] const char* obstacle(const mapping_request& mapping, char* text,
                                   std::size_t room) noexcept;

} // namespace preload
