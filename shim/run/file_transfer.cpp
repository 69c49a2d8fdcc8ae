// SPDX-License-Identifier: BSD-3-Clause

/// The intercepted calls that read and write files. Those of managed memory have no contents, and
/// the program's descriptors of them no access (descriptors.hpp): the kernel answers EBADF. Here
/// that becomes EPERM and a message, after the fact, so that all other calls cost nothing. Plain
/// read and write, which every program does all the time, are left with the kernel's answer.
/// Cancellation points are not noexcept.

#include <cerrno>

#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "run/backing_file.hpp"
#include "run/managed_space.hpp"
#include "run/next_io.hpp"
#include "run/tell.hpp"

namespace {

using namespace preload;

/// Whether the descriptor is of managed memory, or of memory that was managed.
bool explain(int fd, const char* call) noexcept {
    managed_space* const s = inside ? nullptr : space();
    file_identity file;
    if (s == nullptr || !s->has_stand_ins() || !identify(fd, file) || !s->stands_in_for(file))
        return false;
    s->counts().add(count::refused);
    tell("refuses %s of \"%s\": its contents are managed memory, not in the file", call,
         inspect(fd).name.data());
    return true;
}

/// The result of a call on one or two files.
ssize_t checked(ssize_t result, const char* call, int first, int second = -1) noexcept {
    if (result >= 0 || errno != EBADF)
        return result;
    const bool ours = explain(first, call) || (second >= 0 && explain(second, call));
    errno = ours ? EPERM : EBADF;
    return result;
}

} // namespace

#define INTERCEPTED extern "C" __attribute__((visibility("default")))

// By their symbols: with 64-bit file offsets the headers make one name of two.
INTERCEPTED ssize_t intercepted_pread(int, void*, std::size_t, off_t) __asm__("pread");
INTERCEPTED ssize_t intercepted_pread64(int, void*, std::size_t, off_t) __asm__("pread64");
INTERCEPTED ssize_t intercepted_pwrite(int, const void*, std::size_t, off_t) __asm__("pwrite");
INTERCEPTED ssize_t intercepted_pwrite64(int, const void*, std::size_t, off_t) __asm__("pwrite64");
INTERCEPTED ssize_t intercepted_preadv(int, const iovec*, int, off_t) __asm__("preadv");
INTERCEPTED ssize_t intercepted_preadv64(int, const iovec*, int, off_t) __asm__("preadv64");
INTERCEPTED ssize_t intercepted_pwritev(int, const iovec*, int, off_t) __asm__("pwritev");
INTERCEPTED ssize_t intercepted_pwritev64(int, const iovec*, int, off_t) __asm__("pwritev64");
INTERCEPTED ssize_t intercepted_sendfile(int, int, off_t*, std::size_t) __asm__("sendfile");
INTERCEPTED ssize_t intercepted_sendfile64(int, int, off_t*, std::size_t) __asm__("sendfile64");
INTERCEPTED ssize_t intercepted_copy(int, off64_t*, int, off64_t*, std::size_t,
                                     unsigned) __asm__("copy_file_range");
INTERCEPTED ssize_t intercepted_splice(int, off64_t*, int, off64_t*, std::size_t,
                                       unsigned) __asm__("splice");

ssize_t intercepted_pread(int fd, void* data, std::size_t bytes, off_t offset) {
    return checked(next_io().pread(fd, data, bytes, offset), "pread", fd);
}
ssize_t intercepted_pread64(int fd, void* data, std::size_t bytes, off_t offset) {
    return checked(next_io().pread(fd, data, bytes, offset), "pread", fd);
}
ssize_t intercepted_pwrite(int fd, const void* data, std::size_t bytes, off_t offset) {
    return checked(next_io().pwrite(fd, data, bytes, offset), "pwrite", fd);
}
ssize_t intercepted_pwrite64(int fd, const void* data, std::size_t bytes, off_t offset) {
    return checked(next_io().pwrite(fd, data, bytes, offset), "pwrite", fd);
}
ssize_t intercepted_preadv(int fd, const iovec* parts, int count, off_t offset) {
    return checked(next_io().preadv(fd, parts, count, offset), "preadv", fd);
}
ssize_t intercepted_preadv64(int fd, const iovec* parts, int count, off_t offset) {
    return checked(next_io().preadv(fd, parts, count, offset), "preadv", fd);
}
ssize_t intercepted_pwritev(int fd, const iovec* parts, int count, off_t offset) {
    return checked(next_io().pwritev(fd, parts, count, offset), "pwritev", fd);
}
ssize_t intercepted_pwritev64(int fd, const iovec* parts, int count, off_t offset) {
    return checked(next_io().pwritev(fd, parts, count, offset), "pwritev", fd);
}
ssize_t intercepted_sendfile(int to, int from, off_t* offset, std::size_t bytes) {
    return checked(next_io().sendfile(to, from, offset, bytes), "sendfile", from, to);
}
ssize_t intercepted_sendfile64(int to, int from, off_t* offset, std::size_t bytes) {
    return checked(next_io().sendfile(to, from, offset, bytes), "sendfile", from, to);
}
ssize_t intercepted_copy(int from, off64_t* at, int to, off64_t* to_at, std::size_t bytes,
                         unsigned flags) {
    return checked(next_io().copy_file_range(from, at, to, to_at, bytes, flags), "copy_file_range",
                   from, to);
}
ssize_t intercepted_splice(int from, off64_t* at, int to, off64_t* to_at, std::size_t bytes,
                           unsigned flags) {
    return checked(next_io().splice(from, at, to, to_at, bytes, flags), "splice", from, to);
}
