// SPDX-License-Identifier: BSD-3-Clause
#include "run/descriptors.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "run/inside.hpp"

namespace preload {
namespace {

void replace(int name, int fd) noexcept {
    const int flags = ::fcntl(fd, F_GETFD);
    (void)::dup3(name, fd, (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0);
}

} // namespace

int name_of_file(int fd) noexcept {
    const inside_scope library;
    std::array<char, 32> path;
    (void)std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", fd);
    return ::open(path.data(), O_PATH | O_CLOEXEC);
}

bool leave_names_only(int name, const file_identity& file, int ours) noexcept {
    const inside_scope library;
    DIR* const list = ::opendir("/proc/self/fd");
    if (list == nullptr)
        return false;
    while (const dirent* const entry = ::readdir(list)) {
        char* end = nullptr;
        const auto fd = static_cast<int>(std::strtol(entry->d_name, &end, 10));
        file_identity other;
        if (end != entry->d_name && fd != ours && fd != name && identify(fd, other) &&
            other == file)
            replace(name, fd);
    }
    ::closedir(list);
    return true;
}

bool names_only(int fd) noexcept {
    const int error = errno;
    const int flags = ::fcntl(fd, F_GETFL);
    errno = error;
    return flags >= 0 && (flags & O_PATH) != 0;
}

} // namespace preload
