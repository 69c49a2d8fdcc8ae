/* SPDX-License-Identifier: BSD-3-Clause */
/* direct FILE allowed|refused: opens FILE, which does not exist, for direct I/O in every way. Where
 * that is allowed it writes managed memory to it and reads it back while more memory than the limit
 * is touched; where it is refused the file is as good without. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

static const size_t bytes = MEBIBYTES(48);
static const size_t piece = MEBIBYTES(8);

/* Closes it; -1 and an errno otherwise. */
static bool opens(int fd) {
    return fd >= 0 && close(fd) == 0;
}

static void expect_refused(const char* path, int plain) {
    const int flags = O_RDWR | O_DIRECT;
    CHECK(!opens(open(path, flags)) && errno == EINVAL);
    CHECK(!opens(open64(path, flags)) && errno == EINVAL);
    CHECK(!opens(openat(AT_FDCWD, path, flags)) && errno == EINVAL);
    CHECK(!opens(openat64(AT_FDCWD, path, flags | O_CREAT, 0600)) && errno == EINVAL);
    CHECK(fcntl(plain, F_SETFL, O_DIRECT) == -1 && errno == EINVAL);
    CHECK(fcntl(plain, F_SETFL, O_APPEND) == 0 && (fcntl(plain, F_GETFL) & O_APPEND) != 0);
    CHECK(fcntl(plain, F_SETFL, 0) == 0);
}

static void expect_allowed(const char* path, int plain) {
    CHECK(opens(open(path, O_RDWR | O_DIRECT)));
    CHECK(fcntl(plain, F_SETFL, O_DIRECT) == 0 && (fcntl(plain, F_GETFL) & O_DIRECT) != 0);
}

/* The other arguments of fcntl arrive. */
static void other_commands(int fd) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    CHECK(fcntl(fd, F_SETLK, &lock) == 0);
    const int again = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    CHECK(again >= 100 && (fcntl(again, F_GETFD) & FD_CLOEXEC) != 0);
    close(again);
}

int main(int count, char** arguments) {
    CHECK(count == 3);
    const bool allowed = strcmp(arguments[2], "allowed") == 0;
    const int fd = open(arguments[1], O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0);
    other_commands(fd);
    if (allowed)
        expect_allowed(arguments[1], fd);
    else
        expect_refused(arguments[1], fd);
    char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    fill(memory, bytes, 5);
    for (size_t at = 0; at < bytes; at += piece)
        CHECK(pwrite(fd, memory + at, piece, (off_t)at) == (ssize_t)piece);
    memset(memory, 'x', bytes);
    for (size_t at = 0; at < bytes; at += piece)
        CHECK(pread(fd, memory + at, piece, (off_t)at) == (ssize_t)piece);
    expect_filled(memory, bytes, 5);
    close(fd);
    return 0;
}
