// SPDX-License-Identifier: BSD-3-Clause
#include "run/direct_io.hpp"

#include <cerrno>
#include <cstdarg>
#include <cstdint>

#include <fcntl.h>

#include "run/kernel_moves.hpp"
#include "run/managed_space.hpp"
#include "run/next_io.hpp"
#include "run/tell.hpp"

namespace preload {
namespace {

/// `what` follows "refuses ", and has a name in it.
bool refuses_now(const char* what, const char* name) noexcept {
    managed_space* const s = space_in_use();
    if (s == nullptr || kernel_moves_pages())
        return false;
    const bool refused = refuses(*s);
    tell("%s %s%s: Linux before 6.8 does not keep pages that it has pinned for that; use the page "
         "cache (QEMU: cache=writeback), or run without uffdmm-run",
         refused ? "refuses" : "would refuse", what, name);
    if (refused)
        errno = EINVAL;
    return refused;
}

} // namespace

bool refuses_direct_io(const char* path, int flags) noexcept {
    return (flags & O_DIRECT) != 0 && refuses_now("direct I/O on ", path != nullptr ? path : "");
}

} // namespace preload

// By their symbols: with 64-bit file offsets the headers make one name of two.
#define INTERCEPTED extern "C" __attribute__((visibility("default")))
INTERCEPTED int intercepted_fcntl(int fd, int command, ...) __asm__("fcntl");
INTERCEPTED int intercepted_fcntl64(int fd, int command, ...) __asm__("fcntl64");

namespace {

/// The argument is a number or an address, by the command; as an address it is passed on whole.
int do_fcntl(int fd, int command, void* argument) {
    const auto flags = static_cast<int>(reinterpret_cast<std::intptr_t>(argument));
    if (command == F_SETFL && (flags & O_DIRECT) != 0 &&
        preload::refuses_now("direct I/O on an open file", ""))
        return -1;
    return preload::next_io().fcntl(fd, command, argument);
}

} // namespace

int intercepted_fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    return do_fcntl(fd, command, argument);
}
int intercepted_fcntl64(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    return do_fcntl(fd, command, argument);
}
