// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The one place where errno values and counts of userfaultfd ioctls get their meaning.

#include <cstdint>

#include "uffdmm/engine/kernel.hpp"

namespace uffdmm {

/// An ioctl that has a result field; errno values mean different things to them.
enum class transfer : std::uint8_t { copy, zeropage, resume, move, poison, write_protect, wake };

/// How far one ioctl call came (eagain_has_two_encodings): the kernel reports an error by errno, or
/// by a negative result field, or both; and a short positive field together with EAGAIN where it
/// stopped half-way, which hides the reason.
struct ioctl_progress {
    page_count done = 0; ///< whole pages
    int os_errno = 0;    ///< 0: all done, or a short count whose reason is not known
};

/// `rc`: what ioctl() returned; `os_errno`: errno if that was -1; `field`: the result field, 0
/// before the call; `bytes`: what was asked for.
[[nodiscard]] ioctl_progress progress_of(int rc, int os_errno, std::int64_t field,
                                         std::uint64_t bytes) noexcept;

/// What `os_errno` of an ioctl means to the engine.
[[nodiscard]] kernel_status status_of(transfer what, int os_errno) noexcept;

} // namespace uffdmm
