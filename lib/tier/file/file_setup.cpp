// SPDX-License-Identifier: BSD-3-Clause
#include "tier/file/file_setup.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace uffdmm {
namespace {

[[noreturn]] void refuse_space(const file_tier_config& config, byte_count total, int os_errno,
                               byte_count available) {
    refuse(errc::full, "size", config.path,
           bytes_text(total) + " do not fit: " + bytes_text(available) +
               " are available; free space, lower the size, or set tiers[].preallocate to false",
           os_errno);
}

} // namespace

void refuse(errc code, const char* key, const std::string& path, const std::string& why,
            int os_errno) {
    throw setup_error(code, std::string("tiers[].") + key + " (\"" + path + "\"): " + why,
                      os_errno);
}

std::string reason(int os_errno) {
    return ::strerrordesc_np(os_errno);
}

std::string bytes_text(byte_count bytes) {
    char text[48];
    std::snprintf(text, sizeof text, "%llu bytes (%.1f MiB)",
                  static_cast<unsigned long long>(bytes), static_cast<double>(bytes) / (1 << 20));
    return text;
}

void refuse_open(const std::string& path, int os_errno) {
    switch (os_errno) {
    case ENOENT:
    case ENOTDIR:
        refuse(errc::not_found, "path", path,
               std::string("no such directory or device") + path_kinds, os_errno);
    case ELOOP:
        refuse(errc::invalid_config, "path", path,
               "is a symbolic link to a file, which is not followed; name the file itself",
               os_errno);
    case EACCES:
    case EPERM:
    case EROFS:
        refuse(errc::permission_denied, "path", path,
               "may not be opened for reading and writing: " + reason(os_errno), os_errno);
    case EBUSY:
        refuse(errc::busy, "path", path, "is in use: mounted, or opened by another program",
               os_errno);
    default:
        refuse(errc::system, "path", path, "cannot be opened: " + reason(os_errno), os_errno);
    }
}

void check_file_size_limit(const file_tier_config& config, byte_count total) {
    rlimit most{};
    if (::getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur != RLIM_INFINITY &&
        total > most.rlim_cur)
        refuse(errc::full, "size", config.path,
               bytes_text(total) + " is more than this process may write to a file: " +
                   bytes_text(most.rlim_cur) + " (ulimit -f)",
               EFBIG);
}

void reserve_blocks(int fd, const file_tier_config& config, byte_count total) {
    struct statvfs fs {};
    const bool known = ::fstatvfs(fd, &fs) == 0;
    const byte_count available = known ? byte_count{fs.f_bavail} * fs.f_frsize : 0;
    // Asked first: fallocate would take all there is before it fails.
    if (known && total > available)
        refuse_space(config, total, ENOSPC, available);
    int failed = 0;
    do {
        failed = ::fallocate(fd, 0, 0, static_cast<off_t>(total)) == 0 ? 0 : errno;
    } while (failed == EINTR);
    if (failed != 0 && ::ftruncate(fd, 0) != 0) // what it got is given back
        failed = errno;
    if (failed == ENOSPC || failed == EDQUOT || failed == EFBIG)
        refuse_space(config, total, failed, available);
    if (failed == EOPNOTSUPP || failed == ENOSYS)
        refuse(errc::not_supported, "preallocate", config.path,
               "the file system cannot reserve blocks; set tiers[].preallocate to false", failed);
    if (failed != 0)
        refuse(errc::system, "size", config.path, "fallocate: " + reason(failed), failed);
}

} // namespace uffdmm
