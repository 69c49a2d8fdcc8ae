// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/guest_memory.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kernel/file_data.hpp"
#include "kernel/mapped_area.hpp"
#include "kernel/pagemap.hpp"
#include "kernel/setup_failure.hpp"
#include "uffdmm/check.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

[[noreturn]] void refuse(errc code, const std::string& name, const std::string& why) {
    throw setup_error(code, "region \"" + name + "\": " + why);
}

/// Why an area can not be part of a region; "" if it can.
std::string refusal_of_area(const mapped_area& area, bool shared) {
    if (area.has("ht"))
        return "is hugetlb memory; only 4 KiB pages are supported";
    if (area.has("io") || area.has("pf") || area.has("mm"))
        return "is device memory, not RAM";
    if (area.has("lo"))
        return "is locked (mlock, mlockall or QEMU's mem-lock=on); locked memory cannot be swapped";
    if (area.permissions.compare(0, 3, "rw-") != 0)
        return "has permissions \"" + area.permissions +
               "\"; only readable, writable, not "
               "executable memory is supported";
    if (shared && !area.shared())
        return "is a private mapping; region_config::kind shared_memory wants a MAP_SHARED mapping "
               "of the memfd";
    if (!shared && area.shared())
        return "is a shared mapping; set region_config::kind to shared_memory and pass its memfd";
    if (!shared && area.inode != 0)
        return "is a private mapping of the file " + area.name +
               "; only anonymous memory and memfd are supported";
    return {};
}

void check_area(const mapped_area& area, bool shared, const std::string& name) {
    const std::string where =
        range_text(reinterpret_cast<void*>(area.start), area.end - area.start);
    if (area.has("um") || area.has("uw") || area.has("ui"))
        refuse(errc::busy, name,
               "the memory at " + where +
                   " is registered with another userfaultfd already, and a "
                   "range can have only one (QEMU postcopy migration and background snapshots use "
                   "one)");
    if (const std::string why = refusal_of_area(area, shared); !why.empty())
        refuse(errc::not_supported, name, "the memory at " + where + " " + why);
}

/// All of [start, end) is mapped, and suitable.
void check_areas(const std::vector<mapped_area>& areas, std::uint64_t start, std::uint64_t end,
                 bool shared, const std::string& name) {
    std::uint64_t at = start;
    for (const mapped_area& area : areas) {
        if (area.start > at)
            break;
        check_area(area, shared, name);
        at = area.end;
    }
    if (at < end)
        refuse(errc::invalid_argument, name,
               "nothing is mapped at " + range_text(reinterpret_cast<void*>(at), end - at));
}

void check_shape(const region_config& config) {
    if (config.size == 0 || !is_page_aligned(config.size))
        refuse(errc::invalid_argument, config.name,
               "size is " + std::to_string(config.size) +
                   "; it must be a multiple of 4096 and not 0");
    if (!is_page_aligned(reinterpret_cast<std::uintptr_t>(config.address)))
        refuse(errc::invalid_argument, config.name, "address must be a multiple of 4096");
    if (!is_page_aligned(config.fd_offset))
        refuse(errc::invalid_argument, config.name, "fd_offset must be a multiple of 4096");
    const bool shared = config.kind == backing::shared_memory;
    if (config.fd >= 0 && (!shared || config.address == nullptr))
        refuse(errc::invalid_argument, config.name,
               "fd goes with kind shared_memory and the address where it is mapped");
    if (shared && config.address != nullptr && config.fd < 0)
        refuse(errc::invalid_argument, config.name,
               "adopting shared memory needs the fd of its memfd besides the address");
}

std::string link_of(int fd) {
    std::array<char, 256> text{};
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t n = ::readlink(path.c_str(), text.data(), text.size() - 1);
    return n > 0 ? std::string(text.data(), static_cast<std::size_t>(n)) : std::string();
}

/// A description of our own: closing `fd`, or moving its file position, affects nobody.
file_descriptor reopen(int fd, const std::string& name) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    file_descriptor own(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!own)
        setup_failure("region \"" + name + "\": opening its memory file for reading and writing",
                      errno);
    return own;
}

} // namespace

std::string refusal_of_file(std::int64_t magic, const std::string& link) {
    constexpr std::int64_t guest_memfd_magic = 0x474d454d; // Linux 6.18; an anonymous inode before
    if (magic == TMPFS_MAGIC)
        return {};
    if (magic == HUGETLBFS_MAGIC)
        return "is hugetlb memory; only 4 KiB pages are supported";
    if (magic == guest_memfd_magic || link.find("kvm-gmem") != std::string::npos ||
        link.find("guest_memfd") != std::string::npos)
        return "is a guest_memfd: the memory of a confidential guest is not the host's to swap";
    return "is not a memfd or a file on tmpfs (it is " + link + ")";
}

guest_memory::guest_memory(const region_config& config) {
    check_shape(config);
    size_ = config.size;
    if (config.address == nullptr)
        allocate(config);
    else
        adopt(config);
    advise(config.name);
}

guest_memory::~guest_memory() {
    if (owned_.data() == nullptr && inherited_)
        (void)::madvise(data_, size_, MADV_DOFORK);
}

void guest_memory::allocate(const region_config& config) {
    if (config.kind == backing::private_anonymous) {
        owned_ = mapping::anonymous(size_);
    } else {
        file_ = file_descriptor(::memfd_create("uffdmm-guest", MFD_CLOEXEC));
        if (!file_)
            setup_failure("region \"" + config.name + "\": memfd_create", errno);
        if (::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0)
            setup_failure("region \"" + config.name + "\": giving its memfd the size", errno);
        owned_ = mapping::shared(file_.get(), size_, 0);
    }
    data_ = owned_.data();
}

void guest_memory::adopt(const region_config& config) {
    data_ = static_cast<std::byte*>(config.address);
    const bool shared = config.kind == backing::shared_memory;
    if (shared)
        adopt_file(config);
    const auto start = reinterpret_cast<std::uintptr_t>(data_);
    const std::vector<mapped_area> areas = mapped_areas(data_, size_);
    check_areas(areas, start, start + size_, shared, config.name);
    inherited_ = std::none_of(areas.begin(), areas.end(),
                              [](const mapped_area& area) { return area.has("dc"); });
    if (!shared)
        return;
    struct stat status {};
    UFFDMM_CHECK(::fstat(file_.get(), &status) == 0, "the file is open");
    for (const mapped_area& area : areas)
        if (area.inode != status.st_ino || area.offset - area.start != fd_offset_ - start)
            refuse(errc::invalid_argument, config.name,
                   "the memory at " + range_text(data_, size_) + " does not map fd at fd_offset");
}

void guest_memory::adopt_file(const region_config& config) {
    struct statfs system {};
    struct stat status {};
    if (::fstatfs(config.fd, &system) != 0 || ::fstat(config.fd, &status) != 0)
        setup_failure("region \"" + config.name + "\": fd", errno);
    if (const auto why = refusal_of_file(system.f_type, link_of(config.fd)); !why.empty())
        refuse(errc::not_supported, config.name, "its fd " + why);
    if (static_cast<byte_count>(status.st_size) < config.fd_offset + size_)
        refuse(errc::invalid_argument, config.name,
               "its fd has " + std::to_string(status.st_size) +
                   " bytes, less than fd_offset + size");
    file_ = reopen(config.fd, config.name);
    fd_offset_ = config.fd_offset;
}

/// A child of fork would see zeros where pages are swapped out (fork_of_the_vmm), khugepaged would
/// fill them in (partial_huge_page), and pages merged by KSM cannot be moved (move_limits).
void guest_memory::advise(const std::string& name) {
    if (::madvise(data_, size_, MADV_DONTFORK) != 0)
        setup_failure("region \"" + name + "\": madvise(MADV_DONTFORK)", errno);
    // A kernel without huge pages or without KSM answers EINVAL.
    if (::madvise(data_, size_, MADV_NOHUGEPAGE) != 0 && errno != EINVAL)
        setup_failure("region \"" + name + "\": madvise(MADV_NOHUGEPAGE)", errno);
    if (::madvise(data_, size_, MADV_UNMERGEABLE) != 0 && errno != EINVAL)
        setup_failure("region \"" + name + "\": madvise(MADV_UNMERGEABLE)", errno);
}

guest_slice guest_memory::slice(byte_count offset, page_count pages) const {
    UFFDMM_CHECK(is_page_aligned(offset) && offset + bytes_of(pages) <= size_,
                 "a slice lies inside its region");
    return {data_ + offset, pages, file_.get(), fd_offset_ + offset};
}

std::vector<memory_extent> guest_memory::contents() const {
    std::vector<memory_extent> found;
    const auto add = [&](byte_count offset, byte_count length) {
        if (!found.empty() && found.back().offset + found.back().length == offset)
            found.back().length += length;
        else
            found.push_back({offset, length});
    };
    if (shared())
        for_each_data(file_.get(), fd_offset_, size_, data_search::whole_file,
                      [&](byte_count offset, byte_count length) {
                          add(offset - fd_offset_, length);
                          return true;
                      });
    else
        pagemap().for_each_populated(data_, size_, add);
    return found;
}

} // namespace uffdmm
