// SPDX-License-Identifier: BSD-3-Clause

/// The intercepted calls that hand memory to others: descriptors of managed files to another
/// process (vhost-user), and pages to the kernel that go on being read after the call. Managed
/// pages that the kernel only holds, and has not pinned, may be something else by then.

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "run/backing_file.hpp"
#include "run/managed_space.hpp"
#include "run/next_io.hpp"
#include "run/tell.hpp"

namespace {

using namespace preload;

/// Of the descriptors in a message the first that must not be sent, else -1. Large files are noted:
/// their memory is not the process's alone from now on.
int unsendable(managed_space& s, const int* descriptors, std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
        file_identity file;
        struct stat status {};
        if (!identify(descriptors[i], file))
            continue;
        if (s.stands_in_for(file))
            return descriptors[i];
        if (::fstat(descriptors[i], &status) == 0 &&
            static_cast<std::size_t>(status.st_size) >= s.smallest())
            s.given().add(file);
    }
    return -1;
}

int unsendable(managed_space& s, const msghdr& message) noexcept {
    auto& changeable = const_cast<msghdr&>(message); // as CMSG_NXTHDR takes it
    for (cmsghdr* part = CMSG_FIRSTHDR(&changeable); part != nullptr;
         part = CMSG_NXTHDR(&changeable, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        const auto* const descriptors = reinterpret_cast<const int*>(CMSG_DATA(part));
        const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (const int fd = unsendable(s, descriptors, count); fd >= 0)
            return fd;
    }
    return -1;
}

/// Whether sending fails, with EPERM.
bool refuses_to_send(const msghdr* message) noexcept {
    if (message == nullptr || message->msg_controllen == 0)
        return false;
    managed_space* const s = space_in_use();
    const int fd = s == nullptr ? -1 : unsendable(*s, *message);
    if (fd < 0)
        return false;
    s->counts().add(count::refused);
    tell("refuses to send \"%s\" to another process: its contents are managed memory, which only "
         "this process has; leave out the device that shares guest memory (vhost-user-*, "
         "-device x-pci-proxy-dev), or have this memory left alone by --match",
         inspect(fd).name.data());
    errno = EPERM;
    return true;
}

/// What comes before a message that must not be sent is sent.
unsigned sendable(const mmsghdr* messages, unsigned count) noexcept {
    for (unsigned i = 0; i < count; ++i)
        if (refuses_to_send(&messages[i].msg_hdr))
            return i;
    return count;
}

// ---- vmsplice -----------------------------------------------------------------------------------

bool touches_managed(const managed_space& s, const iovec* parts, std::size_t count) noexcept {
    return std::any_of(parts, parts + count,
                       [&](const iovec& part) { return s.touches(part.iov_base, part.iov_len); });
}

/// At most what a pipe that is ready takes without waiting.
ssize_t copy_without_waiting(int fd, const iovec* parts, std::size_t count, bool out) {
    pollfd ready{fd, static_cast<short>(out ? POLLOUT : POLLIN), 0};
    if (::poll(&ready, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    const iovec* const first =
        std::find_if(parts, parts + count, [](const iovec& part) { return part.iov_len != 0; });
    if (first == parts + count)
        return 0;
    const std::size_t bytes = std::min<std::size_t>(first->iov_len, PIPE_BUF);
    return out ? ::write(fd, first->iov_base, bytes) : ::read(fd, first->iov_base, bytes);
}

/// Copies: pages in a pipe are held, not pinned.
ssize_t copy_instead(int fd, const iovec* parts, std::size_t count, unsigned flags) {
    const int mode = ::fcntl(fd, F_GETFL);
    if (mode < 0)
        return -1;
    const bool out = (mode & O_ACCMODE) != O_RDONLY;
    if ((flags & SPLICE_F_NONBLOCK) != 0)
        return copy_without_waiting(fd, parts, count, out);
    return out ? ::writev(fd, parts, static_cast<int>(count))
               : ::readv(fd, parts, static_cast<int>(count));
}

} // namespace

#define INTERCEPTED extern "C" __attribute__((visibility("default")))

INTERCEPTED ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    return refuses_to_send(message) ? -1 : next_io().sendmsg(fd, message, flags);
}

INTERCEPTED int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
    const unsigned allowed = messages == nullptr ? count : sendable(messages, count);
    if (allowed == 0 && count != 0)
        return -1;
    return next_io().sendmmsg(fd, messages, allowed, flags);
}

/// Zero-copy sockets send from pages that they only hold, as late as when a packet is repeated.
INTERCEPTED int setsockopt(int fd, int level, int name, const void* value,
                           socklen_t size) noexcept {
    managed_space* const s = space_in_use();
    int wanted = 0;
    if (s != nullptr && level == SOL_SOCKET && name == SO_ZEROCOPY && size >= sizeof wanted)
        std::memcpy(&wanted, value, sizeof wanted);
    if (wanted == 0 || !refuses(*s))
        return next_io().setsockopt(fd, level, name, value, size);
    if (s->asked().verbose) // programs try whether there is such a thing
        tell("refuses SO_ZEROCOPY: managed memory cannot be sent without copying; leave out the "
             "migration capability zero-copy-send");
    errno = EOPNOTSUPP;
    return -1;
}

INTERCEPTED ssize_t vmsplice(int fd, const iovec* parts, std::size_t count, unsigned flags) {
    managed_space* const s = space_in_use();
    if (s == nullptr || parts == nullptr || count > IOV_MAX || !touches_managed(*s, parts, count))
        return next_io().vmsplice(fd, parts, count, flags);
    return copy_instead(fd, parts, count, flags);
}
