// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The kernel's answer that hazard moved_but_exists is about (lib/kernel/README.md).

#include <cerrno>
#include <cstdint>

#include "kernel/userfaultfd.hpp"

namespace uffdmm::test {

/// Moves that many pages at each call, then says EEXIST, as Linux 6.18 does where it has waited for
/// a page that is being migrated.
inline page_count moved_in_silence = 0;
inline int ioctl_that_forgets(int fd, unsigned long request, void* argument) noexcept {
    auto& move = *static_cast<uffdio_move*>(argument);
    const std::uint64_t silent = bytes_of(moved_in_silence);
    if (request != UFFDIO_MOVE || move.len < silent)
        return system_ioctl(fd, request, argument);
    uffdio_move part = move;
    part.len = silent;
    if (system_ioctl(fd, UFFDIO_MOVE, &part) != 0)
        return system_ioctl(fd, request, argument);
    move.move = -EEXIST;
    errno = EEXIST;
    return -1;
}

} // namespace uffdmm::test
