// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/ioctl_result.hpp"

#include <algorithm>
#include <cerrno>

namespace uffdmm {

ioctl_progress progress_of(int rc, int os_errno, std::int64_t field, std::uint64_t bytes) noexcept {
    if (field > 0) {
        const std::uint64_t moved = std::min(static_cast<std::uint64_t>(field), bytes);
        return {static_cast<page_count>(moved >> page_shift), 0};
    }
    if (field < 0)
        return {0, static_cast<int>(-field)};
    if (rc == 0)
        return {static_cast<page_count>(bytes >> page_shift), 0};
    return {0, os_errno};
}

namespace {

/// EFAULT says: the page behind the target is not there (CONTINUE); the source page has no movable
/// contents (MOVE: poison marker, hardware poison); the source cannot be read, which is a bug
/// (COPY, copy_source_faults); or the target lies beyond the end of its file.
kernel_status meaning_of_efault(transfer what) noexcept {
    switch (what) {
    case transfer::resume:
        return kernel_status::missing;
    case transfer::move:
        return kernel_status::busy;
    case transfer::copy:
        return kernel_status::unsupported;
    default:
        return kernel_status::gone;
    }
}

} // namespace

kernel_status status_of(transfer what, int os_errno) noexcept {
    switch (os_errno) {
    case 0:
        return kernel_status::ok;
    case EAGAIN:
        return kernel_status::again;
    case EEXIST:
        return kernel_status::exists;
    case EBUSY:
        return kernel_status::busy;
    case ENOMEM:
    case ENOSPC:
        return kernel_status::no_memory;
    case ENOENT: // MOVE: a hole in the source, or no mapping at the target; the others: no mapping
        return what == transfer::move ? kernel_status::missing : kernel_status::gone;
    case EFAULT:
        return meaning_of_efault(what);
    case ESRCH: // the address space is being torn down
    case EINTR: // only ever for a process that is being killed
    case EBADF:
        return kernel_status::gone;
    case EINVAL: // MOVE: the two mappings differ (locked, protection), or another mapping begins
        return what == transfer::move ? kernel_status::busy : kernel_status::unsupported;
    default:
        return kernel_status::unsupported;
    }
}

} // namespace uffdmm
