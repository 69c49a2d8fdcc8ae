// SPDX-License-Identifier: BSD-3-Clause
#include "tier/shared/store_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "tier/file/extent_pool.hpp"
#include "tier/file/file_setup.hpp"

namespace uffdmm {
namespace {

constexpr std::size_t buffer_bytes = 16 * page_size;
constexpr std::uint32_t entries_per_page = page_size / extent_entry_size;
constexpr std::uint32_t volumes_of_new_store = 256;
constexpr std::uint64_t table_lock_byte = 0;
constexpr const char* what_is_allowed =
    "; tiers[].shared needs the name of a file, on storage that all hosts mount";

/// A lock of one byte; F_OFD_SETLK, F_OFD_SETLKW or F_OFD_GETLK.
int lock_byte(int fd, int command, struct flock& lock, std::uint64_t byte) noexcept {
    lock.l_whence = SEEK_SET;
    lock.l_start = static_cast<off_t>(byte);
    lock.l_len = 1;
    lock.l_pid = 0;
    int failed = 0;
    do {
        failed = ::fcntl(fd, command, &lock) == 0 ? 0 : errno;
    } while (failed == EINTR);
    return failed;
}

int lock_byte(int fd, int command, short type, std::uint64_t byte) noexcept {
    struct flock lock {};
    lock.l_type = type;
    return lock_byte(fd, command, lock, byte);
}

std::uint64_t byte_of(const store_geometry& g, std::uint32_t volume, life_lock which) noexcept {
    return g.volume_offset(volume) + (which == life_lock::holder ? 0 : 1);
}

error failed_with(int os_errno, const char* what) noexcept {
    return {os_errno == ENOSPC || os_errno == EDQUOT ? errc::full : errc::io_error, os_errno, what};
}

void require_a_file(const std::string& path) {
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0)
        return; // open() says why, or makes it
    if (S_ISDIR(st.st_mode))
        refuse(errc::invalid_config, "path", path, std::string("is a directory") + what_is_allowed);
    if (S_ISBLK(st.st_mode))
        refuse(errc::invalid_config, "path", path,
               std::string("is a block device, whose locks other hosts do not see") +
                   what_is_allowed);
    if (!S_ISREG(st.st_mode))
        refuse(errc::invalid_config, "path", path, std::string("is no file") + what_is_allowed);
}

store_id random_id() {
    store_id id;
    while (id.none())
        if (::getrandom(id.bytes.data(), id.bytes.size(), 0) < 0 && errno != EINTR)
            throw setup_error(errc::system, "getrandom failed", errno);
    return id;
}

} // namespace

// ---- opening ------------------------------------------------------------------------------------

store_file::store_file(const file_tier_config& config, pages_apart* apart)
    : buffer_(mapping::anonymous(buffer_bytes)) {
    require_a_file(config.path);
    open(config.path, O_CREAT);
    if (const result<void> locked = lock_table(); !locked)
        refuse(errc::not_supported, "path", config.path,
               "is on a file system without locks: " + reason(locked.failure().os_errno),
               locked.failure().os_errno);
    struct stat st {};
    if (::fstat(fd(), &st) != 0)
        refuse(errc::system, "path", config.path, reason(errno), errno);
    if (st.st_size == 0)
        create(config, apart);
    take_header(config.path, ", and is not overwritten; remove it or give another name");
    check_medium(config.path, apart);
    extend(config); // also where a process ended in the middle of it
    if (apart != nullptr)
        apart->name_store(header_.id);
    unlock_table();
    if (config.size != 0 && (config.size >> page_shift) != geometry().slots)
        refuse(errc::invalid_config, "size", config.path,
               "the store was made with " + bytes_text(bytes_of(geometry().slots)) +
                   " and cannot be resized; allowed: this size, or 0");
    prepare_io(config.path);
}

store_file::store_file(const std::string& path) : buffer_(mapping::anonymous(buffer_bytes)) {
    require_a_file(path);
    open(path, 0);
    take_header(path, "");
    prepare_io(path);
}

void store_file::open(const std::string& path, int flags) {
    fd_ = file_descriptor(::open(
        path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | flags, 0600));
    if (!fd_)
        refuse_open(path, errno);
}

/// Before O_DIRECT. The table lock is held, or nobody makes the file any more.
void store_file::take_header(const std::string& path, const char* advice) {
    std::array<std::byte, sector_size> start{};
    if (::pread(fd(), start.data(), start.size(), 0) != static_cast<ssize_t>(start.size()) ||
        !looks_like_header(start))
        refuse(errc::invalid_config, "path", path,
               std::string("is a file with contents that are no shared store") + advice);
    const auto header = decode_header(start);
    if (!header)
        refuse(header.code(), "path", path, header.failure().operation);
    header_ = header.value();
}

/// An empty file: the header first, so that from then on it is known for what it is.
void store_file::create(const file_tier_config& config, const pages_apart* apart) {
    const byte_count size =
        config.size == 0 && apart != nullptr ? bytes_of(apart->slots()) : config.size;
    if (size < page_size)
        refuse(errc::invalid_config, "size", config.path,
               "there is no such store yet; to make it, a size of at least 4096 bytes is needed");
    if (size > bytes_of(extent_pool::max_slots))
        refuse(errc::invalid_config, "size", config.path,
               bytes_text(size) + " is more than a tier can use, " +
                   bytes_text(bytes_of(extent_pool::max_slots)));
    store_header header;
    header.id = random_id();
    header.geometry.apart = apart != nullptr;
    header.geometry.slots = static_cast<std::uint32_t>(size >> page_shift);
    header.geometry.extent_shift = extent_shift_for(header.geometry.slots);
    header.geometry.volumes = volumes_of_new_store;
    check_file_size_limit(config, header.geometry.file_bytes());
    std::array<std::byte, sector_size> start{};
    encode(header, start);
    step("header: before");
    const ssize_t n = ::pwrite(fd(), start.data(), start.size(), 0);
    if (n != static_cast<ssize_t>(start.size()))
        refuse(n >= 0 || errno == ENOSPC ? errc::full : errc::io_error, "path", config.path,
               "cannot be written to: " + reason(n >= 0 ? ENOSPC : errno), n >= 0 ? ENOSPC : errno);
    if (::fsync(fd()) != 0)
        refuse(errc::io_error, "path", config.path, "fsync: " + reason(errno), errno);
}

/// That the pages are where they are looked for.
void store_file::check_medium(const std::string& path, const pages_apart* apart) const {
    if (geometry().apart && apart == nullptr)
        refuse(errc::invalid_config, "path", path,
               "is the table of a store whose pages are on a network block device; allowed: a tier "
               "of kind nbd, with this as its shared_table");
    if (!geometry().apart && apart != nullptr)
        refuse(errc::invalid_config, "path", path,
               "is a store that has its pages in it; allowed: a tier of kind file with shared");
    if (apart != nullptr && apart->slots() < geometry().slots)
        refuse(errc::invalid_config, "path", path,
               "is the table of a store of " + bytes_text(bytes_of(geometry().slots)) +
                   ", and there is room for " + bytes_text(bytes_of(apart->slots())));
}

void store_file::extend(const file_tier_config& config) {
    struct stat st {};
    const auto total = static_cast<off_t>(geometry().file_bytes());
    if (::fstat(fd(), &st) == 0 && st.st_size >= total)
        return;
    if (config.preallocate)
        reserve_blocks(fd(), config, geometry().file_bytes());
    else if (::ftruncate(fd(), total) != 0)
        refuse(errno == EFBIG ? errc::full : errc::system, "size", config.path,
               bytes_text(geometry().file_bytes()) + ": " + reason(errno), errno);
    if (::fsync(fd()) != 0)
        refuse(errc::io_error, "path", config.path, "fsync: " + reason(errno), errno);
}

/// Where O_DIRECT is refused the host's page cache is between, which is what tmpfs is anyway.
void store_file::prepare_io(const std::string& path) {
    const int flags = ::fcntl(fd(), F_GETFL);
    direct_ = flags >= 0 && ::fcntl(fd(), F_SETFL, flags | O_DIRECT) == 0;
    if (direct_ && ::pread(fd(), buffer_.data(), page_size, 0) < 0 && errno == EINVAL)
        direct_ = ::fcntl(fd(), F_SETFL, flags) != 0;
    if (const result<void> readable = read(0, page_size); !readable)
        refuse(errc::io_error, "path", path,
               "cannot be read: " + reason(readable.failure().os_errno),
               readable.failure().os_errno);
}

// ---- locks --------------------------------------------------------------------------------------

result<void> store_file::lock_table() noexcept {
    if (const int failed = lock_byte(fd(), F_OFD_SETLKW, F_WRLCK, table_lock_byte); failed != 0)
        return error{errc::io_error, failed, "shared store: the table's lock"};
    return {};
}

void store_file::unlock_table() noexcept {
    (void)lock_byte(fd(), F_OFD_SETLK, F_UNLCK, table_lock_byte);
}

bool store_file::try_lock(std::uint32_t volume, life_lock which) noexcept {
    const short type = which == life_lock::holder ? F_WRLCK : F_RDLCK;
    return lock_byte(fd(), F_OFD_SETLK, type, byte_of(geometry(), volume, which)) == 0;
}

void store_file::unlock(std::uint32_t volume, life_lock which) noexcept {
    (void)lock_byte(fd(), F_OFD_SETLK, F_UNLCK, byte_of(geometry(), volume, which));
}

bool store_file::locked_elsewhere(std::uint32_t volume, life_lock which) const noexcept {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    return lock_byte(fd(), F_OFD_GETLK, lock, byte_of(geometry(), volume, which)) != 0 ||
           lock.l_type != F_UNLCK;
}

// ---- records and entries ------------------------------------------------------------------------

result<volume_record> store_file::read_volume(std::uint32_t volume) {
    if (const auto done = read(geometry().volume_offset(volume), page_size); !done)
        return done.failure();
    return decode_volume(const_sector(buffer_.data(), sector_size), geometry());
}

result<void> store_file::write_volume(std::uint32_t volume, volume_record record) {
    ++record.sequence;
    record.changed = static_cast<std::uint64_t>(std::time(nullptr));
    std::memset(buffer_.data(), 0, page_size);
    encode(record, sector(buffer_.data(), sector_size));
    if (const auto done = write(geometry().volume_offset(volume), page_size); !done)
        return done;
    return sync();
}

result<void> store_file::visit_entries(std::uint32_t first, std::uint32_t end,
                                       const entry_visitor& change, std::uint32_t* damaged) {
    constexpr std::uint32_t per_read = buffer_bytes / extent_entry_size;
    bool changed = false;
    next wish = next::go_on;
    for (std::uint32_t at = first / entries_per_page * entries_per_page;
         at < end && wish == next::go_on; at += per_read) {
        const std::uint32_t pages =
            pages_of(std::uint64_t{std::min(per_read, end - at)} * extent_entry_size);
        const std::uint64_t offset =
            geometry().table_offset() + std::uint64_t{at} * extent_entry_size;
        if (const auto done = read(offset, bytes_of(pages)); !done)
            return done;
        std::uint32_t dirty_from = pages;
        std::uint32_t dirty_to = 0;
        for (std::uint32_t i = 0; i < per_read && at + i < end && wish == next::go_on; ++i) {
            if (at + i < first)
                continue;
            std::byte* const bytes = buffer_.data() + std::size_t{i} * extent_entry_size;
            const auto read_entry = decode_entry(bytes, at + i, geometry());
            if (!read_entry) {
                if (damaged != nullptr)
                    ++*damaged;
                continue;
            }
            extent_entry entry = read_entry.value();
            wish = change(at + i, entry);
            if (entry == read_entry.value())
                continue;
            encode(entry, at + i, bytes);
            dirty_from = std::min(dirty_from, i / entries_per_page);
            dirty_to = i / entries_per_page + 1;
        }
        if (dirty_from >= dirty_to)
            continue;
        std::memmove(buffer_.data(), buffer_.data() + bytes_of(dirty_from),
                     bytes_of(dirty_to - dirty_from));
        if (const auto done = write(offset + bytes_of(dirty_from), bytes_of(dirty_to - dirty_from));
            !done)
            return done;
        changed = true;
    }
    return changed ? sync() : result<void>{};
}

// ---- I/O ----------------------------------------------------------------------------------------

result<void> store_file::read(std::uint64_t offset, std::size_t bytes) noexcept {
    for (std::size_t at = 0; at < bytes;) {
        const ssize_t n =
            ::pread(fd(), buffer_.data() + at, bytes - at, static_cast<off_t>(offset + at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed_with(n < 0 ? errno : EIO, "shared store: read");
        at += static_cast<std::size_t>(n);
    }
    return {};
}

result<void> store_file::write(std::uint64_t offset, std::size_t bytes) noexcept {
    step("write: before");
    for (std::size_t at = 0; at < bytes;) {
        const ssize_t n =
            ::pwrite(fd(), buffer_.data() + at, bytes - at, static_cast<off_t>(offset + at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed_with(n < 0 ? errno : EIO, "shared store: write");
        at += static_cast<std::size_t>(n);
    }
    step("write: after");
    return {};
}

result<void> store_file::sync() noexcept {
    while (::fdatasync(fd()) != 0)
        if (errno != EINTR)
            return failed_with(errno, "shared store: fdatasync");
    step("sync: after");
    return {};
}

void store_file::punch(std::uint32_t extent) noexcept {
    if (geometry().apart)
        return;
    const std::uint64_t slots = std::uint64_t{1} << geometry().extent_shift;
    const std::uint64_t first = extent * slots;
    const std::uint64_t count = std::min<std::uint64_t>(slots, geometry().slots - first);
    (void)::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                      static_cast<off_t>(geometry().data_offset() + first * page_size),
                      static_cast<off_t>(count * page_size));
}

} // namespace uffdmm
