// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A callback's user_data: freed exactly once, by whoever holds it last.

#include <memory>

namespace uffdmm::shim {

using user_data = std::shared_ptr<void>;

/// Frees `data` also if there is no memory for the owner itself (shared_ptr promises that).
[[nodiscard]] inline user_data own(void* data, void (*free_user_data)(void*)) {
    if (free_user_data == nullptr)
        return {std::shared_ptr<void>(), data};
    return {data, free_user_data};
}

} // namespace uffdmm::shim
