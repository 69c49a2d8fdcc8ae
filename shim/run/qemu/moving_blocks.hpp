// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// RAM blocks of QEMU's that are managed memory.

#include <cstddef>
#include <string>
#include <vector>

#include "run/qemu/calls.hpp"
#include "uffdmm/manager.hpp"

namespace preload::qemu {

/// A block, which is an area of its own.
struct moving_block {
    std::string name;
    std::byte* host = nullptr;
    uffdmm::byte_count bytes = 0;
    uffdmm::region* managed = nullptr;
};

/// All that migrate. Empty, with `why`, unless they are all that is managed: what is stored changes
/// its owner as a whole.
[[nodiscard]] std::vector<moving_block> moving_blocks(const calls& qemu, std::string& why);

/// One of them by name; `managed` is nullptr where the block is not here, or not managed.
[[nodiscard]] moving_block find_block(const calls& qemu, const char* name);

} // namespace preload::qemu
