// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The functions about files, devices, sockets and programs that would be called if the library
/// were not there.

#include <cstddef>

#include <spawn.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

namespace preload {

using spawn_function = int(pid_t*, const char*, const posix_spawn_file_actions_t*,
                           const posix_spawnattr_t*, char* const*, char* const*);

struct next_io_functions {
    int (*open)(const char*, int, ...);
    int (*openat)(int, const char*, int, ...);
    int (*ioctl)(int, unsigned long, ...);
    int (*fcntl)(int, int, ...);
    ssize_t (*sendmsg)(int, const msghdr*, int);
    int (*sendmmsg)(int, mmsghdr*, unsigned, int);
    int (*setsockopt)(int, int, int, const void*, socklen_t);
    ssize_t (*vmsplice)(int, const iovec*, std::size_t, unsigned);
    ssize_t (*pread)(int, void*, std::size_t, off_t);
    ssize_t (*pwrite)(int, const void*, std::size_t, off_t);
    ssize_t (*preadv)(int, const iovec*, int, off_t);
    ssize_t (*pwritev)(int, const iovec*, int, off_t);
    ssize_t (*sendfile)(int, int, off_t*, std::size_t);
    ssize_t (*copy_file_range)(int, off_t*, int, off_t*, std::size_t, unsigned);
    ssize_t (*splice)(int, off_t*, int, off_t*, std::size_t, unsigned);
    int (*execve)(const char*, char* const*, char* const*);
    int (*execvpe)(const char*, char* const*, char* const*);
    int (*fexecve)(int, char* const*, char* const*);
    int (*execveat)(int, const char*, char* const*, char* const*, int);
    spawn_function* posix_spawn;
    spawn_function* posix_spawnp;
};

/// Found at the first call. Any thread.
[[nodiscard]] const next_io_functions& next_io() noexcept;

} // namespace preload
