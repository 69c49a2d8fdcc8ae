// SPDX-License-Identifier: BSD-3-Clause
#include "tier/file/file_store.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "tier/file/file_setup.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

constexpr std::string_view header_text = "uffdmm swap file v1\n"
                                         "Scratch data of libuffdmm. Overwritten at its next start "
                                         "with this path; may be deleted when no process has it "
                                         "open.\n";

/// S_IFREG etc., symbolic links followed; 0 if there is nothing, or nothing that can be seen.
mode_t kind_of(const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 ? st.st_mode & S_IFMT : 0;
}

[[noreturn]] void refuse_kind(const std::string& path) {
    refuse(errc::invalid_config, "path", path,
           std::string("is neither a directory, a file nor a block device") + path_kinds);
}

file_descriptor open_unlinked(const std::string& directory) {
    // O_EXCL: the file can never be given a name.
    file_descriptor fd(::open(directory.c_str(), O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
    if (fd)
        return fd;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        refuse_open(directory, errno);
    std::string name = directory + "/uffdmm-swap-XXXXXX";
    fd = file_descriptor(::mkostemp(name.data(), O_CLOEXEC)); // mode 0600
    if (!fd)
        refuse_open(directory, errno);
    ::unlink(name.c_str());
    return fd;
}

bool has_header(int fd) {
    std::array<char, header_text.size()> start{};
    return ::pread(fd, start.data(), start.size(), 0) == static_cast<ssize_t>(start.size()) &&
           std::string_view(start.data(), start.size()) == header_text;
}

/// Checks a file that was there before, and empties it.
void take_over(int fd, const std::string& path) {
    struct stat st {};
    if (::fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        refuse_kind(path);
    if (st.st_size != 0 && !has_header(fd))
        refuse(errc::invalid_config, "path", path,
               "is a file with contents that this library did not write, and is not overwritten; "
               "remove it or give another name");
    if (::fchmod(fd, 0600) != 0) // it will hold guest memory
        refuse(errc::permission_denied, "path", path, "cannot be made private (mode 0600)", errno);
    if (::ftruncate(fd, 0) != 0)
        refuse(errc::system, "path", path, "cannot be emptied: " + reason(errno), errno);
}

void lock(int fd, const std::string& path) {
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0)
        refuse(errc::busy, "path", path, "is in use by another process or another tier", errno);
}

struct named_file {
    file_descriptor fd;
    file_remover remover;
};

/// `keep`: a file that was there before stays, empty, even if set-up fails.
named_file open_named(const std::string& path, bool keep) {
    constexpr int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    named_file file;
    if (path.starts_with("/dev/") && !path.starts_with("/dev/shm/") &&
        ::access(path.c_str(), F_OK) != 0)
        refuse(errc::not_found, "path", path, std::string("no such block device") + path_kinds,
               errno);
    file.fd = file_descriptor(::open(path.c_str(), flags | O_CREAT | O_EXCL, 0600));
    if (file.fd) {
        lock(file.fd.get(), path); // refused: another process was faster, and the file is its own
        file.remover = file_remover(path, file.fd.get());
        return file;
    }
    // O_CREAT|O_EXCL says EEXIST for a symbolic link too; O_NOFOLLOW tells them apart.
    if (errno == EEXIST)
        file.fd = file_descriptor(::open(path.c_str(), flags));
    if (!file.fd)
        refuse_open(path, errno == EISDIR ? ENOENT : errno);
    lock(file.fd.get(), path);
    take_over(file.fd.get(), path);
    if (!keep)
        file.remover = file_remover(path, file.fd.get());
    return file;
}

void write_header(int fd, const std::string& path) {
    std::array<char, page_size> page{};
    std::memcpy(page.data(), header_text.data(), header_text.size());
    const ssize_t n = ::pwrite(fd, page.data(), page.size(), 0);
    if (n != static_cast<ssize_t>(page.size()))
        refuse(n >= 0 || errno == ENOSPC ? errc::full : errc::io_error, "path", path,
               "cannot be written to: " + reason(n >= 0 ? ENOSPC : errno), n >= 0 ? ENOSPC : errno);
}

void refuse_memory_file_system(int fd, const std::string& path) {
    struct statfs fs {};
    if (::fstatfs(fd, &fs) != 0)
        refuse(errc::system, "path", path, "statfs: " + reason(errno), errno);
    const auto type = static_cast<unsigned long>(fs.f_type);
    if (type == TMPFS_MAGIC || type == RAMFS_MAGIC || type == HUGETLBFS_MAGIC)
        refuse(errc::not_supported, "path", path,
               "is on a file system that keeps its files in host memory (tmpfs), so that swapping "
               "to it frees none; use a disk file system, or a tier of kind \"ram\"");
}

void set_direct(int fd, const std::string& path) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_DIRECT) != 0)
        refuse(errc::not_supported, "path", path,
               "is on a file system that refuses O_DIRECT, without which the host's page cache "
               "would hold every page a second time; use another file system",
               errno);
}

/// Some file systems accept O_DIRECT and refuse the I/O.
void try_direct_read(int fd, const std::string& path, std::uint64_t offset) {
    const mapping page = mapping::anonymous(page_size);
    if (::pread(fd, page.data(), page_size, static_cast<off_t>(offset)) >= 0)
        return;
    if (errno == EINVAL)
        refuse(errc::not_supported, "path", path,
               "cannot read 4096 bytes at a time with O_DIRECT; use another file system or device",
               errno);
    refuse(errc::io_error, "path", path, "cannot be read: " + reason(errno), errno);
}

byte_count size_of_file(int fd, const file_tier_config& config, byte_count data_offset) {
    if (config.size < page_size)
        refuse(
            errc::invalid_config, "size", config.path,
            "a file needs a size of at least 4096 bytes; only a block device has one of its own");
    const byte_count size = config.size & ~byte_count{page_size - 1};
    const byte_count total = data_offset + size;
    check_file_size_limit(config, total);
    if (config.preallocate)
        reserve_blocks(fd, config, total);
    else if (::ftruncate(fd, static_cast<off_t>(total)) != 0)
        refuse(errno == EFBIG ? errc::full : errc::system, "size", config.path,
               bytes_text(total) + ": " + reason(errno), errno);
    return size;
}

byte_count size_of_device(int fd, const file_tier_config& config) {
    std::uint64_t whole = 0;
    int sector = 0;
    if (::ioctl(fd, BLKGETSIZE64, &whole) != 0 || ::ioctl(fd, BLKSSZGET, &sector) != 0)
        refuse(errc::system, "path", config.path, "its size is unknown: " + reason(errno), errno);
    int read_only = 0; // such a device can be opened for writing all the same
    if (::ioctl(fd, BLKROGET, &read_only) == 0 && read_only != 0)
        refuse(errc::permission_denied, "path", config.path, "is a read-only device", EROFS);
    if (sector > static_cast<int>(page_size))
        refuse(errc::not_supported, "path", config.path,
               "has sectors of " + std::to_string(sector) + " bytes; at most 4096 are supported");
    if (whole < page_size)
        refuse(errc::invalid_config, "path", config.path,
               "is a device with " + bytes_text(whole) + "; nothing may be attached to it");
    if (config.size > whole)
        refuse(errc::invalid_config, "size", config.path,
               bytes_text(config.size) + " is more than the device has, " + bytes_text(whole) +
                   "; 0 means all of it");
    if (config.size != 0 && config.size < page_size)
        refuse(errc::invalid_config, "size", config.path, "at least 4096 bytes, or 0 for all");
    return (config.size == 0 ? whole : config.size) & ~byte_count{page_size - 1};
}

} // namespace

file_remover::file_remover(std::string path, int fd) : path_(std::move(path)) {
    struct stat st {};
    if (::fstat(fd, &st) != 0)
        path_.clear();
    device_ = st.st_dev;
    inode_ = st.st_ino;
}

file_remover::file_remover(file_remover&& other) noexcept
    : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {
}

file_remover& file_remover::operator=(file_remover&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(device_, other.device_);
    std::swap(inode_, other.inode_);
    return *this;
}

file_remover::~file_remover() {
    struct stat st {};
    if (!path_.empty() && ::lstat(path_.c_str(), &st) == 0 && st.st_dev == device_ &&
        st.st_ino == inode_)
        ::unlink(path_.c_str());
}

file_store::file_store(const file_tier_config& config) {
    if (config.path.empty())
        refuse(errc::invalid_config, "path", "", std::string("is required") + path_kinds);
    open(config);
    set_size(config);
    try_direct_read(fd(), config.path, header_bytes_);
    discards_.store(config.discard && (device_ || !config.preallocate), std::memory_order_relaxed);
    if (config.keep)
        remover_.dismiss();
}

void file_store::open(const file_tier_config& config) {
    const mode_t kind = kind_of(config.path);
    if (kind != 0 && kind != S_IFBLK && kind != S_IFDIR && kind != S_IFREG)
        refuse_kind(config.path); // opening some devices does things
    device_ = kind == S_IFBLK;
    if (device_) {
        fd_ = file_descriptor(::open(config.path.c_str(), O_RDWR | O_EXCL | O_DIRECT | O_CLOEXEC));
        if (!fd_)
            refuse_open(config.path, errno);
        return;
    }
    const bool directory = kind == S_IFDIR;
    if (directory && config.keep)
        refuse(errc::invalid_config, "keep", config.path,
               "a file made in a directory has no name to be kept by; give a file name, or false");
    if (directory) {
        fd_ = open_unlinked(config.path);
    } else {
        named_file file = open_named(config.path, config.keep);
        remover_ = std::move(file.remover);
        fd_ = std::move(file.fd);
        header_bytes_ = page_size;
    }
    refuse_memory_file_system(fd(), config.path);
    if (!directory) // before O_DIRECT, and before a crash could leave a big file without it
        write_header(fd(), config.path);
    set_direct(fd(), config.path);
}

void file_store::set_size(const file_tier_config& config) {
    constexpr byte_count most = bytes_of(extent_pool::max_slots);
    if (config.size > most)
        refuse(errc::invalid_config, "size", config.path,
               bytes_text(config.size) + " is more than a tier can use, " + bytes_text(most));
    const byte_count size =
        device_ ? size_of_device(fd(), config) : size_of_file(fd(), config, header_bytes_);
    if (size > most)
        refuse(errc::invalid_config, "size", config.path,
               "the device is larger than a tier can use; set a size up to " + bytes_text(most));
    set_slots(static_cast<std::uint32_t>(size >> page_shift), header_bytes_);
}

void file_store::discard(slot_run run) noexcept {
    if (!discards() || run.count == 0)
        return;
    std::uint64_t range[2] = {offset_of(run.first), bytes_of(run.count)};
    const int failed =
        device_ ? ::ioctl(fd(), BLKDISCARD, range)
                : ::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                              static_cast<off_t>(range[0]), static_cast<off_t>(range[1]));
    if (failed != 0 && (errno == EOPNOTSUPP || errno == ENOTTY || errno == ENOSYS))
        discards_.store(false, std::memory_order_relaxed);
}

} // namespace uffdmm
