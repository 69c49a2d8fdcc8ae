// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The functions about files, devices and sockets that would be called if the library were not
/// there.

#include <cstddef>

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

namespace preload {

struct next_io_functions {
    int (*open)(const char*, int, ...);
    int (*openat)(int, const char*, int, ...);
    int (*ioctl)(int, unsigned long, ...);
    ssize_t (*sendmsg)(int, const msghdr*, int);
    int (*sendmmsg)(int, mmsghdr*, unsigned, int);
    int (*setsockopt)(int, int, int, const void*, socklen_t);
    ssize_t (*vmsplice)(int, const iovec*, std::size_t, unsigned);
};

/// Found at the first call. Any thread.
[[nodiscard]] const next_io_functions& next_io() noexcept;

} // namespace preload
