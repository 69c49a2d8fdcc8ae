// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/userfaultfd.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/setup_failure.hpp"

namespace uffdmm {
namespace {

/// Works with and without capabilities, as the file permissions say. -1 with errno.
int open_by_device(ioctl_function call) {
    const file_descriptor device(::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
    if (!device)
        return -1;
    // The argument is the flags themselves, not a pointer to them.
    constexpr std::uintptr_t flags = O_CLOEXEC | O_NONBLOCK;
    return call(device.get(), USERFAULTFD_IOC_NEW, reinterpret_cast<void*>(flags));
}

/// Deliberately without UFFD_USER_MODE_ONLY: KVM, vhost and system calls fault in kernel mode and
/// would get EFAULT (user_mode_only). Such a descriptor is worse than none.
int open_by_system_call() {
    return static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
}

file_descriptor open_descriptor(ioctl_function call) {
    if (const int fd = open_by_device(call); fd >= 0)
        return file_descriptor(fd);
    const int device_errno = errno;
    if (const int fd = open_by_system_call(); fd >= 0)
        return file_descriptor(fd);
    if (errno == ENOSYS)
        throw setup_error(errc::not_supported,
                          "this kernel has no userfaultfd (CONFIG_USERFAULTFD)", ENOSYS);
    if (errno != EPERM && errno != EACCES)
        setup_failure("opening a userfaultfd", errno);
    throw setup_error(errc::permission_denied,
                      std::string("a userfaultfd for kernel-mode faults is refused: "
                                  "/dev/userfaultfd says \"") +
                          ::strerrordesc_np(device_errno) +
                          "\", and the system call needs CAP_SYS_PTRACE or "
                          "vm.unprivileged_userfaultfd=1. Give this user read and write permission "
                          "on /dev/userfaultfd (chmod or setfacl; Linux 6.1 or later), or run "
                          "sysctl vm.unprivileged_userfaultfd=1",
                      EPERM);
}

/// A descriptor can be asked once only. Returns errno.
int shake_hands(int fd, std::uint64_t& features, ioctl_function call) {
    uffdio_api api{};
    api.api = UFFD_API;
    api.features = features;
    if (call(fd, UFFDIO_API, &api) != 0)
        return errno;
    features = api.features;
    return 0;
}

std::uint64_t address_of(const std::byte* at) {
    return reinterpret_cast<std::uintptr_t>(at);
}

uffdio_range range_of(const std::byte* at, page_count n) {
    return {address_of(at), bytes_of(n)};
}

} // namespace

int system_ioctl(int fd, unsigned long request, void* argument) noexcept {
    return ::ioctl(fd, request, argument);
}

std::uint64_t userfaultfd::available_features(ioctl_function function) {
    const file_descriptor probe = open_descriptor(function);
    std::uint64_t features = 0;
    if (const int e = shake_hands(probe.get(), features, function); e != 0)
        setup_failure("UFFDIO_API", e);
    return features;
}

userfaultfd::userfaultfd(std::uint64_t required, std::uint64_t optional, ioctl_function function)
    : ioctl_(function) {
    const std::uint64_t available = available_features(ioctl_);
    if ((required & ~available) != 0)
        throw setup_error(errc::not_supported,
                          "this kernel's userfaultfd lacks features that are needed: it has " +
                              std::to_string(available) + " (UFFD_FEATURE_ bits), needed are " +
                              std::to_string(required),
                          EINVAL);
    fd_ = open_descriptor(ioctl_);
    features_ = required | (optional & available);
    std::uint64_t asked = features_;
    if (const int e = shake_hands(fd_.get(), asked, ioctl_); e != 0)
        setup_failure("UFFDIO_API", e);
}

void userfaultfd::register_range(std::byte* at, std::size_t bytes, std::uint64_t modes,
                                 std::uint64_t needed) {
    uffdio_register argument{};
    argument.range = {address_of(at), bytes};
    argument.mode = modes;
    if (call(UFFDIO_REGISTER, argument) != 0)
        setup_failure("registering " + range_text(at, bytes) + " with a userfaultfd", errno);
    if ((needed & ~argument.ioctls) == 0)
        return;
    (void)unregister_range(at, bytes);
    throw setup_error(errc::not_supported, "this kernel lacks userfaultfd operations for the "
                                           "memory at " +
                                               range_text(at, bytes));
}

kernel_result userfaultfd::unregister_range(std::byte* at, std::size_t bytes) noexcept {
    uffdio_range argument{address_of(at), bytes};
    if (call(UFFDIO_UNREGISTER, argument) == 0)
        return {pages_of(bytes), kernel_status::ok, 0};
    return {0, status_of(transfer::wake, errno), errno};
}

template <typename Argument>
int userfaultfd::call(unsigned long request, Argument& argument) noexcept {
    if (fd_)
        return ioctl_(fd_.get(), request, &argument);
    errno = EBADF;
    return -1;
}

/// `step(at, count)` does one ioctl for `count` pages from page `at` on. Each further call needs at
/// least one page of progress by the last, or is for half as many, so this ends.
///
/// One call can not span two mappings, and the embedder may have split ours (mprotect, madvise):
/// then the kernel answers ENOENT, as if there were none, and smaller calls find out where.
template <typename Step>
kernel_result userfaultfd::repeat(transfer what, page_count n, Step&& step) noexcept {
    page_count at = 0;
    page_count most = n;
    while (at < n) {
        const page_count count = std::min(n - at, most);
        const ioctl_progress p = step(std::size_t{at} * page_size, count);
        at += p.done;
        if (p.os_errno == ENOENT && what != transfer::move && count > 1) {
            most = count / 2;
            continue;
        }
        most = n;
        if (p.os_errno != 0)
            return {at, status_of(what, p.os_errno), p.os_errno};
        if (p.done == 0) // less than a page: nothing that a later call would change
            return {at, kernel_status::again, EAGAIN};
    }
    return {n, kernel_status::ok, 0};
}

kernel_result userfaultfd::copy(std::byte* to, const std::byte* from, page_count n,
                                bool protect) noexcept {
    return repeat(transfer::copy, n, [&](std::size_t offset, page_count left) {
        uffdio_copy argument{};
        argument.dst = address_of(to + offset);
        argument.src = address_of(from + offset);
        argument.len = bytes_of(left);
        argument.mode = protect ? UFFDIO_COPY_MODE_WP : 0;
        const int rc = call(UFFDIO_COPY, argument);
        return progress_of(rc, errno, argument.copy, argument.len);
    });
}

kernel_result userfaultfd::zeropage(std::byte* to, page_count n) noexcept {
    return repeat(transfer::zeropage, n, [&](std::size_t offset, page_count left) {
        uffdio_zeropage argument{};
        argument.range = range_of(to + offset, left);
        const int rc = call(UFFDIO_ZEROPAGE, argument);
        return progress_of(rc, errno, argument.zeropage, argument.range.len);
    });
}

kernel_result userfaultfd::resume(std::byte* at, page_count n, bool protect) noexcept {
    return repeat(transfer::resume, n, [&](std::size_t offset, page_count left) {
        uffdio_continue argument{};
        argument.range = range_of(at + offset, left);
        argument.mode = protect ? UFFDIO_CONTINUE_MODE_WP : 0;
        const int rc = call(UFFDIO_CONTINUE, argument);
        return progress_of(rc, errno, argument.mapped, argument.range.len);
    });
}

kernel_result userfaultfd::move(std::byte* to, const std::byte* from, page_count n,
                                bool holes) noexcept {
    return repeat(transfer::move, n, [&](std::size_t offset, page_count left) {
        uffdio_move argument{};
        argument.dst = address_of(to + offset);
        argument.src = address_of(from + offset);
        argument.len = bytes_of(left);
        argument.mode = holes ? UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES : 0;
        const int rc = call(UFFDIO_MOVE, argument);
        return progress_of(rc, errno, argument.move, argument.len);
    });
}

kernel_result userfaultfd::poison(std::byte* at, page_count n) noexcept {
    return repeat(transfer::poison, n, [&](std::size_t offset, page_count left) {
        uffdio_poison argument{};
        argument.range = range_of(at + offset, left);
        const int rc = call(UFFDIO_POISON, argument);
        return progress_of(rc, errno, argument.updated, argument.range.len);
    });
}

kernel_result userfaultfd::write_protect(std::byte* at, page_count n, bool protect) noexcept {
    // Before Linux 6.4 this, too, is for one mapping at a time.
    kernel_result r = repeat(transfer::write_protect, n, [&](std::size_t offset, page_count count) {
        uffdio_writeprotect argument{};
        argument.range = range_of(at + offset, count);
        argument.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0;
        const int rc = call(UFFDIO_WRITEPROTECT, argument);
        return progress_of(rc, errno, 0, argument.range.len);
    });
    if (r.status != kernel_status::ok)
        r.done = 0;
    return r;
}

kernel_result userfaultfd::wake(std::byte* at, page_count n) noexcept {
    uffdio_range argument = range_of(at, n);
    if (call(UFFDIO_WAKE, argument) == 0)
        return {n, kernel_status::ok, 0};
    return {0, status_of(transfer::wake, errno), errno};
}

std::size_t userfaultfd::read(uffd_msg* messages, std::size_t most) noexcept {
    if (!fd_)
        return 0;
    const ssize_t got = ::read(fd_.get(), messages, most * sizeof(uffd_msg));
    return got <= 0 ? 0 : static_cast<std::size_t>(got) / sizeof(uffd_msg);
}

} // namespace uffdmm
