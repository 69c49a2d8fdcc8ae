// SPDX-License-Identifier: BSD-3-Clause

/// The intercepted calls about files whose memory is managed.

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "run/backing_file.hpp"
#include "run/inside.hpp"
#include "run/managed_space.hpp"
#include "run/next_functions.hpp"
#include "run/raw_calls.hpp"
#include "run/tell.hpp"

namespace {

using namespace preload;

/// The space if the file's memory is managed, else nullptr.
managed_space* space_of(int fd, file_identity& file) noexcept {
    managed_space* const s = space_in_use();
    return s != nullptr && identify(fd, file) && s->manages(file) ? s : nullptr;
}

int refuse(managed_space& s, const char* what) noexcept {
    s.counts().add(count::refused);
    tell("refuses %s of a file whose memory is managed", what);
    errno = EPERM;
    return -1;
}

/// Preallocated memory could not be evicted by anybody: it comes when it is touched.
int absorb_allocation(managed_space& s) noexcept {
    if (s.counts().add(count::absorbed_preallocation) == 0)
        tell("does not preallocate managed memory");
    return 0;
}

int allocate(int fd, int mode, off_t offset, off_t bytes) noexcept {
    file_identity file;
    managed_space* const s = space_of(fd, file);
    if (s == nullptr)
        return raw::allocate(fd, mode, offset, bytes);
    if ((mode & ~FALLOC_FL_KEEP_SIZE) == 0)
        return absorb_allocation(*s);
    if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) == 0)
        return refuse(*s, "a fallocate that moves contents");
    const int result = raw::allocate(s->descriptor_of(file, fd), mode, offset, bytes);
    if (result == 0) {
        s->counts().add(count::discards);
        (void)s->discard_file(file, offset, static_cast<std::size_t>(bytes));
    }
    return result;
}

/// The C library's writes where the file system cannot allocate. Tells errors by its result.
int allocate_or_write(int fd, off_t offset, off_t bytes) noexcept {
    file_identity file;
    managed_space* const s = space_of(fd, file);
    return s != nullptr ? absorb_allocation(*s) : next().posix_fallocate(fd, offset, bytes);
}

int truncate(int fd, off_t bytes) noexcept {
    file_identity file;
    managed_space* const s = space_of(fd, file);
    if (s != nullptr && bytes < s->managed_end(file))
        return refuse(*s, "a truncation");
    return raw::truncate(s == nullptr ? fd : s->descriptor_of(file, fd), bytes);
}

} // namespace

#define INTERCEPTED extern "C" __attribute__((visibility("default")))

// By their symbols: with 64-bit file offsets the headers make one name of two.
INTERCEPTED int intercepted_fallocate(int fd, int mode, off_t offset, off_t bytes) noexcept
    __asm__("fallocate");
INTERCEPTED int intercepted_fallocate64(int fd, int mode, off64_t offset, off64_t bytes) noexcept
    __asm__("fallocate64");
INTERCEPTED int intercepted_posix_fallocate(int fd, off_t offset, off_t bytes) noexcept
    __asm__("posix_fallocate");
INTERCEPTED int intercepted_posix_fallocate64(int fd, off64_t offset, off64_t bytes) noexcept
    __asm__("posix_fallocate64");
INTERCEPTED int intercepted_ftruncate(int fd, off_t bytes) noexcept __asm__("ftruncate");
INTERCEPTED int intercepted_ftruncate64(int fd, off64_t bytes) noexcept __asm__("ftruncate64");

int intercepted_fallocate(int fd, int mode, off_t offset, off_t bytes) noexcept {
    return allocate(fd, mode, offset, bytes);
}
int intercepted_fallocate64(int fd, int mode, off64_t offset, off64_t bytes) noexcept {
    return allocate(fd, mode, offset, bytes);
}
int intercepted_posix_fallocate(int fd, off_t offset, off_t bytes) noexcept {
    return allocate_or_write(fd, offset, bytes);
}
int intercepted_posix_fallocate64(int fd, off64_t offset, off64_t bytes) noexcept {
    return allocate_or_write(fd, offset, bytes);
}
int intercepted_ftruncate(int fd, off_t bytes) noexcept {
    return truncate(fd, bytes);
}
int intercepted_ftruncate64(int fd, off64_t bytes) noexcept {
    return truncate(fd, bytes);
}
