// SPDX-License-Identifier: BSD-3-Clause
#include "support/ioctl_count.hpp"

#include <array>
#include <atomic>
#include <cstdarg>

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

// Relaxed: whoever reads it was woken by that ioctl.
std::array<std::atomic<std::uint64_t>, 64> counts;

} // namespace

extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
    va_list arguments;
    va_start(arguments, request);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    if (_IOC_TYPE(request) == UFFDIO)
        counts[_IOC_NR(request) % counts.size()].fetch_add(1, std::memory_order_relaxed);
    return static_cast<int>(::syscall(SYS_ioctl, fd, request, argument));
}

namespace uffdmm::bench {

std::uint64_t ioctls_of(unsigned number) {
    return counts[number % counts.size()].load(std::memory_order_relaxed);
}

} // namespace uffdmm::bench
