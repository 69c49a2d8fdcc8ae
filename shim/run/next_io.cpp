// SPDX-License-Identifier: BSD-3-Clause
#include "run/next_io.hpp"

#include <atomic>

#include "run/find_next.hpp"
#include "run/inside.hpp"

namespace preload {
namespace {

constinit next_io_functions found{};
constinit std::atomic<bool> ready{false};

void find_all() noexcept {
    const inside_scope library;
    find_next(found.open, "open64");
    find_next(found.openat, "openat64");
    find_next(found.ioctl, "ioctl");
    find_next(found.fcntl, "fcntl64");
    find_next(found.sendmsg, "sendmsg");
    find_next(found.sendmmsg, "sendmmsg");
    find_next(found.setsockopt, "setsockopt");
    find_next(found.vmsplice, "vmsplice");
    find_next(found.pread, "pread64");
    find_next(found.pwrite, "pwrite64");
    find_next(found.preadv, "preadv64");
    find_next(found.pwritev, "pwritev64");
    find_next(found.sendfile, "sendfile64");
    find_next(found.copy_file_range, "copy_file_range");
    find_next(found.splice, "splice");
    find_next(found.execve, "execve");
    find_next(found.execvpe, "execvpe");
    find_next(found.fexecve, "fexecve");
    find_next(found.execveat, "execveat");
    find_next(found.posix_spawn, "posix_spawn");
    find_next(found.posix_spawnp, "posix_spawnp");
}

} // namespace

/// Two threads may both find them, and write the same.
const next_io_functions& next_io() noexcept {
    if (!ready.load(std::memory_order_acquire)) {
        find_all();
        ready.store(true, std::memory_order_release);
    }
    return found;
}

} // namespace preload
