// SPDX-License-Identifier: BSD-3-Clause
#include "run/backing_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "run/inside.hpp"

namespace preload {
namespace {

using link_path = std::array<char, 32>;

link_path path_of(int fd) noexcept {
    link_path path;
    (void)std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", fd);
    return path;
}

constexpr std::string_view memfd_prefix = "/memfd:";
constexpr std::string_view deleted_suffix = " (deleted)";

/// "/memfd:NAME (deleted)" becomes NAME. Whether it was a memfd.
bool shorten(std::array<char, 160>& name) noexcept {
    std::string_view text(name.data());
    const bool memfd = text.starts_with(memfd_prefix);
    if (text.ends_with(deleted_suffix))
        text.remove_suffix(deleted_suffix.size());
    if (memfd)
        text.remove_prefix(memfd_prefix.size());
    std::memmove(name.data(), text.data(), text.size());
    name[text.size()] = '\0';
    return memfd;
}

bool status_of(int fd, struct stat& status) noexcept {
    return fd >= 0 && ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

} // namespace

bool identify(int fd, file_identity& identity) noexcept {
    const int error = errno;
    struct stat status {};
    const bool regular = status_of(fd, status);
    identity = {status.st_dev, status.st_ino};
    errno = error;
    return regular;
}

backing_file inspect(int fd) noexcept {
    backing_file file;
    struct stat status {};
    struct statfs system {};
    if (!status_of(fd, status) || ::fstatfs(fd, &system) != 0)
        return file;
    file.identity = {status.st_dev, status.st_ino};
    if (::readlink(path_of(fd).data(), file.name.data(), file.name.size() - 1) < 0)
        file.name[0] = '\0';
    const bool memfd = shorten(file.name);
    file.named = !memfd && status.st_nlink != 0;
    if (system.f_type == HUGETLBFS_MAGIC)
        file.what = backing_file::kind::hugetlb;
    else if (system.f_type == TMPFS_MAGIC)
        file.what = memfd ? backing_file::kind::memfd : backing_file::kind::tmpfs;
    else
        file.what = backing_file::kind::disk;
    return file;
}

/// Under a descriptor of its own, for it moves the file position.
bool has_data(int fd, off_t offset, std::size_t bytes) noexcept {
    const inside_scope library;
    const int own = ::open(path_of(fd).data(), O_RDONLY | O_CLOEXEC);
    if (own < 0)
        return true;
    const off_t data = ::lseek(own, offset, SEEK_DATA);
    const bool none = data < 0 ? errno == ENXIO : data - offset >= static_cast<off_t>(bytes);
    ::close(own);
    return !none;
}

/// Lines like "7f00-7f80 rw-s 00000000 00:01 1061 /memfd:ram (deleted)".
bool mapped_elsewhere(const file_identity& file, std::uintptr_t begin,
                      std::uintptr_t end) noexcept {
    const inside_scope library;
    std::FILE* const maps = std::fopen("/proc/self/maps", "re");
    if (maps == nullptr)
        return true;
    bool found = false;
    std::array<char, 512> line;
    while (!found && std::fgets(line.data(), line.size(), maps) != nullptr) {
        std::uintptr_t from = 0;
        std::uintptr_t to = 0;
        unsigned major_number = 0;
        unsigned minor_number = 0;
        ino_t number = 0;
        found = std::sscanf(line.data(), "%lx-%lx %*s %*s %x:%x %lu", &from, &to, &major_number,
                            &minor_number, &number) == 5 &&
                file_identity{::makedev(major_number, minor_number), number} == file &&
                (to <= begin || from >= end);
    }
    (void)std::fclose(maps);
    return found;
}

/// Lines like those of maps, each followed by figures like "Rss:   12 kB".
bool touched(std::uintptr_t begin, std::uintptr_t end) noexcept {
    const inside_scope library;
    std::FILE* const maps = std::fopen("/proc/self/smaps", "re");
    if (maps == nullptr)
        return true;
    bool found = false;
    bool in_range = false;
    std::array<char, 512> line;
    while (!found && std::fgets(line.data(), line.size(), maps) != nullptr) {
        std::uintptr_t from = 0;
        std::uintptr_t to = 0;
        std::size_t kibibytes = 0;
        if (std::sscanf(line.data(), "%lx-%lx ", &from, &to) == 2)
            in_range = from < end && to > begin;
        else if (in_range && (std::sscanf(line.data(), "Rss: %zu", &kibibytes) == 1 ||
                              std::sscanf(line.data(), "Swap: %zu", &kibibytes) == 1))
            found = kibibytes != 0;
    }
    (void)std::fclose(maps);
    return found;
}

} // namespace preload
