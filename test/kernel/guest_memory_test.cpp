// SPDX-License-Identifier: BSD-3-Clause
/// Which memory is taken over, and what is said about the other.

#include <sstream>

#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/mapped_area.hpp"
#include "support/kernel_fixture.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

struct refusal {
    errc code = errc::ok;
    std::string text;
    [[nodiscard]] bool says(const char* words) const {
        return text.find(words) != std::string::npos;
    }
};

/// What taking over memory so configured is refused with.
template <typename Attempt>
refusal refusal_of(Attempt&& attempt) {
    try {
        attempt();
    } catch (const setup_error& e) {
        return {e.code(), e.what()};
    }
    return {};
}
refusal refusal_of_config(const region_config& config) {
    refusal r = refusal_of([&] { guest_memory memory(config); });
    INFO(r.text);
    REQUIRE((r.code == errc::ok || r.says("region \"test\"")));
    return r;
}

region_config adopted(void* address, std::size_t bytes) {
    region_config config = region_of(protocol::private_move, 1);
    config.size = bytes;
    config.address = address;
    return config;
}

file_descriptor memfd(std::size_t bytes, unsigned flags = 0) {
    file_descriptor fd(::memfd_create("test", MFD_CLOEXEC | flags));
    if (fd)
        REQUIRE(::ftruncate(fd.get(), static_cast<off_t>(bytes)) == 0);
    return fd;
}

TEST_CASE("guest_memory: misaligned or empty ranges are refused", "[kernel]") {
    const mapping memory = mapping::anonymous(4 * page_size);
    REQUIRE(refusal_of_config(adopted(memory.data(), 0)).code == errc::invalid_argument);
    REQUIRE(refusal_of_config(adopted(memory.data(), 5000)).says("4096"));
    REQUIRE(refusal_of_config(adopted(memory.data() + 8, page_size)).says("address"));
    REQUIRE(refusal_of_config(adopted(memory.data(), 4 * page_size)).code == errc::ok);
}

TEST_CASE("guest_memory: unmapped, locked, read-only and file-backed ranges are refused",
          "[kernel]") {
    mapping memory = mapping::anonymous(4 * page_size);
    const region_config config = adopted(memory.data(), 4 * page_size);
    REQUIRE(::mprotect(memory.data() + page_size, page_size, PROT_READ) == 0);
    REQUIRE(refusal_of_config(config).says("permissions"));
    REQUIRE(::mprotect(memory.data() + page_size, page_size, PROT_READ | PROT_WRITE) == 0);
    if (::mlock2(memory.data(), page_size, MLOCK_ONFAULT) == 0) {
        REQUIRE(refusal_of_config(config).says("mlock"));
        REQUIRE(::syscall(SYS_munlock, memory.data(), page_size) == 0);
    }
    const file_descriptor file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    void* mapped = ::mmap(memory.data() + 2 * page_size, page_size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_FIXED, file.get(), 0);
    REQUIRE(mapped != MAP_FAILED);
    REQUIRE(refusal_of_config(config).says("file"));
    REQUIRE(::munmap(memory.data() + 3 * page_size, page_size) == 0);
    REQUIRE(refusal_of_config(adopted(memory.data() + 3 * page_size, page_size))
                .says("nothing is mapped"));
}

TEST_CASE("guest_memory: shared memory needs its memfd, at the right offset", "[kernel]") {
    const file_descriptor fd = memfd(8 * page_size);
    const mapping memory = mapping::shared(fd.get(), 4 * page_size, 2 * page_size);
    region_config config = adopted(memory.data(), 4 * page_size);
    REQUIRE(refusal_of_config(config).says("shared_memory")); // kind is private_anonymous
    config.kind = backing::shared_memory;
    REQUIRE(refusal_of_config(config).says("fd"));
    config.fd = fd.get();
    REQUIRE(refusal_of_config(config).says("fd_offset"));
    config.fd_offset = 6 * page_size;
    REQUIRE(refusal_of_config(config).says("less than"));
    config.fd_offset = 2 * page_size;
    REQUIRE(refusal_of_config(config).code == errc::ok);
    const mapping anonymous = mapping::anonymous(4 * page_size);
    config.address = anonymous.data();
    REQUIRE(refusal_of_config(config).says("private mapping"));
    const file_descriptor other = memfd(8 * page_size);
    config.address = memory.data();
    config.fd = other.get();
    REQUIRE(refusal_of_config(config).says("does not map"));
}

TEST_CASE("guest_memory: hugetlb memory is refused", "[kernel]") {
    REQUIRE(refusal_of_file(HUGETLBFS_MAGIC, "/memfd:ram").find("hugetlb") != std::string::npos);
    std::istringstream smaps("7f0000000000-7f0000200000 rw-s 00000000 00:0f 77   /memfd:x\n"
                             "Size:               2048 kB\n"
                             "VmFlags: rd wr sh mr mw me ms de ht sd \n");
    const auto areas = parse_smaps(smaps, 0x7f0000000000, 0x7f0000200000);
    REQUIRE(areas.size() == 1);
    REQUIRE(areas[0].has("ht"));
    REQUIRE(areas[0].shared());
    REQUIRE(areas[0].inode == 77);
    REQUIRE(areas[0].name == "/memfd:x");
    const file_descriptor fd = memfd(2u << 20, MFD_HUGETLB);
    UFFDMM_NEEDS(fd, "hugetlb memfd");
    const mapping own = mapping::anonymous(2u << 20);
    region_config config = adopted(own.data(), 2u << 20);
    config.kind = backing::shared_memory;
    config.fd = fd.get();
    REQUIRE(refusal_of_config(config).says("hugetlb"));
}

TEST_CASE("guest_memory: guest_memfd: memory of a confidential guest is refused by name",
          "[kernel]") {
    REQUIRE(refusal_of_file(ANON_INODE_FS_MAGIC, "anon_inode:[kvm-gmem]").find("guest_memfd") !=
            std::string::npos);
    REQUIRE(refusal_of_file(0x474d454d, "/[guest_memfd]").find("guest_memfd") != std::string::npos);
    REQUIRE(refusal_of_file(TMPFS_MAGIC, "/memfd:ram").empty());
    REQUIRE_FALSE(refusal_of_file(0xef53, "/var/tmp/file").empty());

    const file_descriptor kvm(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
    const file_descriptor vm(kvm ? ::ioctl(kvm.get(), KVM_CREATE_VM, 0) : -1);
    struct { // struct kvm_create_guest_memfd, Linux 6.8
        std::uint64_t size = 16 * page_size;
        std::uint64_t flags = 0;
        std::uint64_t reserved[6] = {};
    } argument;
    constexpr unsigned long create_guest_memfd = _IOWR(KVMIO, 0xd4, decltype(argument));
    const file_descriptor fd(vm ? ::ioctl(vm.get(), create_guest_memfd, &argument) : -1);
    UFFDMM_NEEDS(fd, "KVM with guest_memfd");
    const mapping own = mapping::anonymous(16 * page_size);
    region_config config = adopted(own.data(), 16 * page_size);
    config.kind = backing::shared_memory;
    config.fd = fd.get();
    const refusal r = refusal_of_config(config);
    REQUIRE(r.code == errc::not_supported);
    REQUIRE(r.says("guest_memfd"));
}

TEST_CASE("guest_memory: one_uffd_per_range: a range taken by another userfaultfd is refused",
          "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        const refusal kernel = refusal_of([&] { linux_kernel(w.memory.slice(0, 64), 64); });
        REQUIRE(kernel.code == errc::busy);
        REQUIRE(kernel.says("userfaultfd"));
        region_config config = region_of(p, 64);
        config.address = w.memory.data();
        config.fd = w.memory.fd();
        const refusal memory = refusal_of_config(config);
        REQUIRE(memory.code == errc::busy);
        REQUIRE(memory.says("postcopy"));
    }
}

TEST_CASE("guest_memory: a refused kernel leaves nothing behind", "[kernel]") {
    guest_memory memory(region_of(protocol::private_move, 64));
    {
        linux_kernel upper(memory.slice(bytes_of(32), 32), 32);
        REQUIRE(refusal_of([&] { linux_kernel(memory.slice(0, 64), 64); }).code == errc::busy);
        const auto areas = mapped_areas(memory.data(), bytes_of(32));
        REQUIRE_FALSE(areas.front().has("um"));
    }
    linux_kernel all(memory.slice(0, 64), 64);
    REQUIRE(all.pages() == 64);
}

TEST_CASE("guest_memory: many_vmas: too many mappings are explained", "[kernel]") {
    // A sanitizer ends the program where it finds no mapping for its own next block of memory.
    UFFDMM_NEEDS(!sanitized, "mappings that no sanitizer needs itself");
    // In a child: the mappings, and what lack of them does, go away with it.
    const pid_t pid = ::fork();
    if (pid == 0) {
        constexpr std::size_t pages = 1u << 20;
        auto* many =
            static_cast<std::byte*>(::mmap(nullptr, pages * page_size, PROT_NONE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        guest_memory memory(region_of(protocol::private_move, 64));
        std::size_t at = 1;
        while (at < pages && ::mprotect(many + at * page_size, page_size, PROT_READ) == 0)
            at += 2;
        if (at >= pages)
            ::_exit(77); // vm.max_map_count is too large to reach
        // One mapping is left for the arena at most; registering the middle page needs two more.
        const refusal r = refusal_of([&] { linux_kernel os(memory.slice(bytes_of(30), 1), 64); });
        ::_exit(r.code == errc::no_memory && r.says("vm.max_map_count") ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    UFFDMM_NEEDS(!(WIFEXITED(status) && WEXITSTATUS(status) == 77), "a smaller vm.max_map_count");
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) == 0);
}

TEST_CASE("guest_memory: contents of adopted private memory are found without touching it",
          "[kernel]") {
    const mapping own = mapping::anonymous(1100 * page_size);
    for (std::size_t page : {0u, 1u, 511u, 512u, 1099u})
        store(own.data() + page * page_size, page + 1);
    const region_config config = adopted(own.data(), 1100 * page_size);
    world w(protocol::private_move, config);
    const auto found = w.memory.contents();
    REQUIRE(found.size() == 3);
    REQUIRE(found[0].offset == 0);
    REQUIRE(found[0].length == 2 * page_size);
    REQUIRE(found[1].offset == 511 * page_size);
    REQUIRE(found[1].length == 2 * page_size);
    REQUIRE(found[2].offset == 1099 * page_size);
    REQUIRE(load(w.page(511)) == 512); // resident: no fault
    REQUIRE(w.os.take_out({511}, 2, {0}).done == 2);
    REQUIRE(load(w.os.frame({1})) == 513);
    REQUIRE(w.memory.contents().size() == 2);
}

TEST_CASE("guest_memory: contents of adopted shared memory are those of the file", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_WP_HUGETLBFS_SHMEM),
                 "shmem userfaultfd");
    const file_descriptor fd = memfd(64 * page_size);
    const std::uint64_t word = 99;
    for (off_t page : {1, 8, 9, 63})
        REQUIRE(::pwrite(fd.get(), &word, sizeof word, page * static_cast<off_t>(page_size)) == 8);
    const mapping own = mapping::shared(fd.get(), 56 * page_size, 8 * page_size);
    region_config config = adopted(own.data(), 56 * page_size);
    config.kind = backing::shared_memory;
    config.fd = fd.get();
    config.fd_offset = 8 * page_size;
    world w(protocol::shared, config);
    const auto found = w.memory.contents();
    REQUIRE(found.size() == 2);
    REQUIRE(found[0].offset == 0);
    REQUIRE(found[0].length == 2 * page_size);
    REQUIRE(found[1].offset == 55 * page_size);
    // Never mapped by the guest so far, and still its contents.
    REQUIRE(w.os.take_out({1}, 1, {0}).done == 1);
    REQUIRE(load(w.os.frame({0})) == 99);
    vcpu cpu(w, [&] { (void)load(w.page(0)); });
    REQUIRE(w.next_message().what == kernel_message::kind::minor);
    REQUIRE(w.os.continue_in({0}, 1, false).done == 1);
    cpu.join();
    REQUIRE(load(w.page(0)) == 99);
}

TEST_CASE("guest_memory: fd_recycling: the embedder may close its descriptor", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_WP_HUGETLBFS_SHMEM),
                 "shmem userfaultfd");
    file_descriptor fd = memfd(8 * page_size);
    const int number = fd.get();
    const mapping own = mapping::shared(number, 8 * page_size, 0);
    region_config config = adopted(own.data(), 8 * page_size);
    config.kind = backing::shared_memory;
    config.fd = number;
    world w(protocol::shared, config);
    const file_descriptor stranger = memfd(8 * page_size);
    const std::uint64_t word = 5;
    REQUIRE(::pwrite(stranger.get(), &word, sizeof word, 0) == 8);
    REQUIRE(::dup2(stranger.get(), number) == number); // the number names another file now
    const auto contents = w.fill(0, 1);
    REQUIRE(w.os.take_out({0}, 1, {0}).done == 1);
    REQUIRE(same(w.os.frame({0}), contents.data()));
    std::uint64_t left = 0;
    REQUIRE(::pread(stranger.get(), &left, sizeof left, 0) == 8);
    REQUIRE(left == word);
}

TEST_CASE("guest_memory: adopted memory is given back as fork would inherit it", "[kernel]") {
    const mapping raw = mapping::anonymous(4 * page_size);
    REQUIRE(::madvise(raw.data(), raw.size(), MADV_DOFORK) == 0);
    {
        guest_memory memory(adopted(raw.data(), raw.size()));
        REQUIRE(mapped_areas(raw.data(), raw.size()).front().has("dc"));
    }
    REQUIRE_FALSE(mapped_areas(raw.data(), raw.size()).front().has("dc"));
    REQUIRE(::madvise(raw.data(), raw.size(), MADV_DONTFORK) == 0);
    { guest_memory memory(adopted(raw.data(), raw.size())); }
    REQUIRE(mapped_areas(raw.data(), raw.size()).front().has("dc"));
}

TEST_CASE("guest_memory: move_limits: pages that KSM may merge are unmerged for good", "[kernel]") {
    const mapping own = mapping::anonymous(4 * page_size);
    UFFDMM_NEEDS(::madvise(own.data(), own.size(), MADV_MERGEABLE) == 0, "KSM");
    guest_memory memory(adopted(own.data(), own.size()));
    REQUIRE_FALSE(mapped_areas(own.data(), own.size()).front().has("mg"));
}

} // namespace
