// SPDX-License-Identifier: BSD-3-Clause
#include "tier/ram/page_returner.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "uffdmm/check.hpp"

namespace uffdmm {
namespace {

/// Locked memory cannot be discarded: the embedder may have called mlockall() meanwhile.
bool discard_one(const iovec& range) {
    if (::madvise(range.iov_base, range.iov_len, MADV_DONTNEED) == 0)
        return true;
    (void)::munlock(range.iov_base, range.iov_len);
    return ::madvise(range.iov_base, range.iov_len, MADV_DONTNEED) == 0;
}

} // namespace

page_returner::page_returner() : self_(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))) {
}

bool page_returner::discard(std::span<const iovec> ranges) noexcept {
    UFFDMM_DCHECK(ranges.size() <= most_ranges, "a batch of ranges");
    if (self_ && ranges.size() > 1) {
        std::size_t bytes = 0;
        for (const iovec& range : ranges)
            bytes += range.iov_len;
        const long advised = ::syscall(SYS_process_madvise, self_.get(), ranges.data(),
                                       ranges.size(), MADV_DONTNEED, 0);
        if (advised == static_cast<long>(bytes))
            return true;
        if (advised < 0)
            self_ = {};
    }
    bool all = true;
    for (const iovec& range : ranges)
        all &= discard_one(range);
    return all;
}

} // namespace uffdmm
