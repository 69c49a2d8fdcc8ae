// SPDX-License-Identifier: BSD-3-Clause
/// Taking pages out of the guest and bringing them back, against guest accesses.

#include <atomic>
#include <fstream>
#include <span>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/mapped_area.hpp"
#include "support/kernel_fixture.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;
using kind = kernel_message::kind;

bool absent(const kernel_message& m) {
    return m.what == kind::missing || m.what == kind::minor;
}

TEST_CASE("kernel: a page taken out faults, and comes back with its contents", "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        const auto contents = w.fill(3, 4);
        const kernel_result out = w.os.take_out({3}, 4, {8});
        REQUIRE(out.status == kernel_status::ok);
        REQUIRE(out.done == 4);
        REQUIRE(same(w.os.frame({8}), contents.data(), 4));
        std::uint64_t seen = 0;
        vcpu cpu(w, [&] { seen = load(w.page(5) + 128); });
        const kernel_message m = w.next_message();
        REQUIRE(m.what == kind::missing);
        REQUIRE(m.pages == page_run{{5}, 1});
        REQUIRE(w.os.copy_in({5}, 1, w.os.frame({10}), false).done == 1);
        cpu.join();
        REQUIRE(seen == load(contents.data() + 2 * page_size + 128));
    }
}

TEST_CASE("kernel: move_in gives the frame up and keeps the contents", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE), "UFFDIO_MOVE");
    world w(protocol::private_move);
    const auto contents = w.fill(0, 2);
    REQUIRE(w.os.take_out({0}, 2, {0}).done == 2);
    REQUIRE(w.os.move_in({0}, 2, {0}).done == 2);
    REQUIRE(same(w.page(0), contents.data(), 2));
    REQUIRE(load(w.os.frame({0})) == 0);
}

TEST_CASE("kernel: a move stops at a frame in use, unless there is nothing to move", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE), "UFFDIO_MOVE");
    world w(protocol::private_move);
    const auto contents = w.fill(0, 4);
    REQUIRE(w.os.take_out({1}, 1, {1}).done == 1); // page 1 is a hole now, frame 1 is in use
    REQUIRE(w.os.take_out({2}, 1, {2}).done == 1);
    const auto newer = w.fill(2, 1); // and so is frame 2, but page 2 is there again
    const kernel_result r = w.os.take_out({0}, 4, {0});
    REQUIRE(r.status == kernel_status::exists);
    REQUIRE(r.done == 2);
    REQUIRE(same(w.page(2), newer.data()));
    REQUIRE(w.os.take_out({3}, 1, {3}).done == 1);
    REQUIRE(same(w.os.frame({0}), contents.data(), 4));
}

TEST_CASE("kernel: touches_managed_memory: holes are skipped without a fault, and read as zeros",
          "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        const auto first = w.fill(1, 1);
        const auto second = w.fill(6, 2);
        const kernel_result r = w.os.take_out({0}, 64, {0});
        REQUIRE(r.status == kernel_status::ok);
        REQUIRE(r.done == 64);
        REQUIRE(same(w.os.frame({1}), first.data()));
        REQUIRE(same(w.os.frame({6}), second.data(), 2));
        for (std::uint32_t hole : {0u, 2u, 5u, 8u, 63u})
            REQUIRE(load(w.os.frame({hole})) == 0);
        REQUIRE_FALSE(w.has_message());
    }
}

TEST_CASE("kernel: touches_managed_memory: a discard beside copying out is no fault of ours",
          "[kernel]") {
    constexpr page_count pages = 64;
    world w(protocol::private_copy, pages);
    const auto contents = stamped(pages);
    const std::vector<std::byte> zeros(page_size);
    std::atomic<bool> enough{false};
    std::thread balloon([&] {
        while (!enough.load())
            (void)::madvise(w.page(0), bytes_of(pages), MADV_DONTNEED);
    });
    unsigned wrong = 0;
    for (unsigned round = 0; round < 2000; ++round) {
        (void)w.os.copy_in({0}, pages, contents.data(), false);
        const kernel_result r = w.os.take_out({0}, pages, {0});
        for (page_count i = 0; i < r.done; ++i)
            wrong += same(w.os.frame({i}), zeros.data()) ||
                             same(w.os.frame({i}), contents.data() + bytes_of(i))
                         ? 0
                         : 1;
        const frame_run all{{0}, pages};
        (void)w.os.release_frames(std::span(&all, 1));
    }
    enough.store(true);
    balloon.join();
    REQUIRE(wrong == 0);
}

TEST_CASE("kernel: taking pages out of shared memory frees them and never allocates holes",
          "[kernel]") {
    UFFDMM_NEEDS(protocols().size() == 3 || !probe().has(UFFD_FEATURE_MOVE), "shmem userfaultfd");
    world w(protocol::shared);
    const auto blocks = [&] {
        struct stat status {};
        REQUIRE(::fstat(w.memory.fd(), &status) == 0);
        return status.st_blocks;
    };
    (void)w.fill(10, 3);
    REQUIRE(blocks() == 3 * 8);
    REQUIRE(w.os.take_out({0}, 64, {0}).done == 64);
    REQUIRE(blocks() == 0);
}

TEST_CASE("kernel: zero pages and write-protected pages are taken out like others", "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        REQUIRE(w.os.zero_in({0}, 4).done == 4);
        const auto clean = w.fill(4, 4, true);
        const kernel_result r = w.os.take_out({0}, 8, {0});
        REQUIRE(r.status == kernel_status::ok);
        REQUIRE(load(w.os.frame({2})) == 0);
        REQUIRE(same(w.os.frame({4}), clean.data(), 4));
        store(w.os.frame({5}), 42); // a frame is plain memory, whatever the page was
        REQUIRE(load(w.os.frame({5})) == 42);
    }
}

TEST_CASE("kernel: evict_write_race: no write of the guest is lost", "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        const auto zeros = std::vector<std::byte>(page_size);
        REQUIRE(w.os.copy_in({7}, 1, zeros.data(), false).done == 1);
        std::uint64_t written = 0;
        vcpu cpu(w, [&](const std::stop_token& told) {
            while (!told.stop_requested()) {
                store(w.page(7), load(w.page(7)) + 1);
                ++written;
            }
        });
        for (int round = 0; round < 2000; ++round) {
            REQUIRE(w.os.take_out({7}, 1, {0}).done == 1);
            // A protect fault as well if it met the page protected and its thread went to sleep
            // when the page was gone; there is no second message then (lost_wake).
            REQUIRE(w.next_message().pages == page_run{{7}, 1});
            REQUIRE(w.os.copy_in({7}, 1, w.os.frame({0}), round % 3 == 0).done == 1);
            if (round % 3 == 0)
                REQUIRE(w.os.write_protect({7}, 1, false).done == 1);
            const frame_run used[] = {{{0}, 1}};
            REQUIRE(w.os.release_frames(used).status == kernel_status::ok);
        }
        cpu.stop();
        REQUIRE(load(w.page(7)) == written);
    }
}

TEST_CASE("kernel: two_step_zeropage_then_wp: a page installed protected reports the first write",
          "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        const auto contents = stamped(1);
        vcpu cpu(w, [&] { store(w.page(0), 1234); });
        REQUIRE(w.next_message().what == kind::missing);
        REQUIRE(w.os.copy_in({0}, 1, contents.data(), true).done == 1);
        const kernel_message m = w.next_message();
        REQUIRE(m.what == kind::protect);
        REQUIRE(m.write);
        REQUIRE(load(w.page(0)) == load(contents.data())); // nothing was written in between
        REQUIRE(w.os.write_protect({0}, 1, false).done == 1);
        cpu.join();
        REQUIRE(load(w.page(0)) == 1234);
    }
}

TEST_CASE("kernel: lost_wake: a writer waiting for protection is woken when its page leaves",
          "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        const auto contents = w.fill(2, 1, true);
        vcpu cpu(w, [&] { store(w.page(2), 77); });
        REQUIRE(w.next_message().what == kind::protect);
        REQUIRE(w.os.take_out({2}, 1, {0}).done == 1);
        REQUIRE(absent(w.next_message())); // it came back and found the page gone
        REQUIRE(same(w.os.frame({0}), contents.data()));
        REQUIRE(w.os.copy_in({2}, 1, w.os.frame({0}), false).done == 1);
        cpu.join();
        REQUIRE(load(w.page(2)) == 77);
        REQUIRE(load(w.page(2) + 8) == load(contents.data() + 8));
    }
}

TEST_CASE("kernel: lost_wake: discard wakes who waits for a protected page", "[kernel]") {
    for (const protocol p : {protocol::private_copy, protocol::shared}) {
        INFO(name_of(p));
        world w(p);
        (void)w.fill(2, 1, true);
        vcpu cpu(w, [&] { store(w.page(2), 77); });
        REQUIRE(w.next_message().what == kind::protect);
        REQUIRE(w.os.discard({2}, 1).done == 1);
        REQUIRE(absent(w.next_message()));
        REQUIRE(w.os.zero_in({2}, 1).done == 1);
        cpu.join();
        REQUIRE(load(w.page(2)) == 77);
        REQUIRE(load(w.page(2) + 8) == 0);
    }
}

TEST_CASE("kernel: wp_on_unpopulated: taking out holes leaves no protection behind", "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        REQUIRE(w.os.take_out({0}, 8, {0}).done == 8); // nothing but holes
        const auto contents = stamped(1);
        vcpu cpu(w, [&] { store(w.page(1), 5); });
        REQUIRE(w.next_message().what == kind::missing);
        REQUIRE(w.os.copy_in({1}, 1, contents.data(), false).done == 1);
        cpu.join(); // no protect fault
        REQUIRE_FALSE(w.has_message());
    }
}

TEST_CASE("kernel: wp_on_unpopulated: protecting a hole of private memory protects nothing",
          "[kernel]") {
    world w(protocol::private_copy);
    REQUIRE(w.os.write_protect({0}, 1, true).status == kernel_status::ok);
    const auto contents = stamped(1);
    REQUIRE(w.os.copy_in({0}, 1, contents.data(), false).done == 1);
    store(w.page(0), 9); // would hang if the hole had kept its protection
    REQUIRE(load(w.page(0)) == 9);
}

TEST_CASE("kernel: marker_loss: a discarded page loses its protection and is protected anew",
          "[kernel]") {
    for (const protocol p : {protocol::private_copy, protocol::shared}) {
        INFO(name_of(p));
        world w(p);
        (void)w.fill(0, 1, true);
        REQUIRE(w.os.discard({0}, 1).done == 1);
        const auto contents = stamped(1, 9);
        REQUIRE(w.os.copy_in({0}, 1, contents.data(), true).done == 1);
        vcpu cpu(w, [&] { store(w.page(0), 1); });
        REQUIRE(w.next_message().what == kind::protect);
        REQUIRE(w.os.write_protect({0}, 1, false).done == 1);
        cpu.join();
    }
}

TEST_CASE("kernel: marker_loss: a protected page that left can be poisoned", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_POISON), "UFFDIO_POISON");
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        (void)w.fill(0, 2, true);
        REQUIRE(w.os.take_out({0}, 1, {0}).done == 1);
        REQUIRE(w.os.poison({0}, 1).status == kernel_status::ok);
        REQUIRE(w.os.poison({1}, 1).status == kernel_status::exists);
        REQUIRE(w.os.poison({0}, 1).status == kernel_status::exists);
    }
}

TEST_CASE("kernel: a poisoned page is not taken out but stays poisoned", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_POISON | UFFD_FEATURE_MOVE), "POISON and MOVE");
    world w(protocol::private_move);
    (void)w.fill(0, 1);
    REQUIRE(w.os.poison({1}, 1).done == 1);
    const kernel_result r = w.os.take_out({0}, 3, {0});
    REQUIRE(r.done == 1);
    REQUIRE(r.status == kernel_status::busy);
}

TEST_CASE("kernel: move_limits: an occupied place and an empty frame are told apart", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE), "UFFDIO_MOVE");
    world w(protocol::private_move);
    (void)w.fill(0, 3);
    REQUIRE(w.os.take_out({0}, 1, {0}).done == 1);
    REQUIRE(w.os.move_in({1}, 1, {0}).status == kernel_status::exists);
    REQUIRE(w.os.move_in({5}, 1, {9}).status == kernel_status::missing);
    REQUIRE(w.os.take_out({1}, 1, {0}).status == kernel_status::exists);
}

TEST_CASE("kernel: move_limits: a mapping split by the embedder still leaves as one run",
          "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        const auto contents = w.fill(0, 64);
        REQUIRE(::madvise(w.page(20), 3 * page_size, MADV_DONTDUMP) == 0);
        const kernel_result r = w.os.take_out({0}, 64, {0});
        REQUIRE(r.status == kernel_status::ok);
        REQUIRE(r.done == 64);
        REQUIRE(same(w.os.frame({0}), contents.data(), 64));
    }
}

TEST_CASE("kernel: move_limits: pages come in across mappings that the embedder split",
          "[kernel]") {
    for (const protocol p : protocols()) {
        for (const bool contents : {true, false}) {
            INFO(name_of(p) << ", contents " << contents);
            world w(p);
            REQUIRE(::mprotect(w.page(20), 3 * page_size, PROT_READ) == 0);
            const auto data = stamped(64);
            const kernel_result r =
                contents ? w.os.copy_in({0}, 64, data.data(), true) : w.os.zero_in({0}, 64);
            REQUIRE(r.status == kernel_status::ok);
            REQUIRE(r.done == 64);
            const std::vector<std::byte> zeros(data.size());
            REQUIRE(same(w.page(0), contents ? data.data() : zeros.data(), 64));
            REQUIRE(w.os.write_protect({0}, 64, false).status == kernel_status::ok);
        }
    }
}

TEST_CASE("kernel: move_limits: memory locked after set-up is busy, and can still be filled",
          "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE), "UFFDIO_MOVE");
    world w(protocol::private_move);
    const auto contents = w.fill(0, 2);
    REQUIRE(w.os.take_out({0}, 1, {0}).done == 1);
    UFFDMM_NEEDS(::mlock2(w.page(0), 2 * page_size, MLOCK_ONFAULT) == 0, "mlock");
    REQUIRE(w.os.take_out({1}, 1, {1}).status == kernel_status::busy);
    REQUIRE(w.os.move_in({0}, 1, {0}).status == kernel_status::busy);
    REQUIRE(w.os.copy_in({0}, 1, w.os.frame({0}), false).done == 1);
    REQUIRE(same(w.page(0), contents.data(), 2));
}

TEST_CASE("kernel: move_limits: a page that an earlier child still shares is busy until written",
          "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE), "UFFDIO_MOVE");
    const mapping own = mapping::anonymous(2 * page_size);
    REQUIRE(::madvise(own.data(), own.size(), MADV_DOFORK) == 0);
    store(own.data(), 11);
    int fds[2];
    REQUIRE(::pipe(fds) == 0);
    const file_descriptor in(fds[0]);
    file_descriptor out(fds[1]);
    const pid_t child = ::fork();
    if (child == 0) {
        out = {};
        char ignored = 0;
        ::_exit(::read(in.get(), &ignored, 1) == 0 ? 0 : 1); // until the parent closes it
    }
    REQUIRE(child > 0);
    region_config config = region_of(protocol::private_move, 2);
    config.address = own.data();
    kernel_result shared;
    kernel_result exclusive;
    {
        world w(protocol::private_move, config);
        shared = w.os.take_out({0}, 1, {0});
        store(w.page(0), 12);
        exclusive = w.os.take_out({0}, 1, {0});
    }
    out = {};
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(shared.status == kernel_status::busy);
    REQUIRE(exclusive.done == 1);
}

/// Pins a page the way io_uring's fixed buffers do.
class pinned_page {
  public:
    explicit pinned_page(std::byte* at) {
        io_uring_params params{};
        ring_ = file_descriptor(static_cast<int>(::syscall(SYS_io_uring_setup, 4, &params)));
        const iovec buffer{at, page_size};
        ok_ = ring_ && ::syscall(SYS_io_uring_register, ring_.get(), IORING_REGISTER_BUFFERS,
                                 &buffer, 1) == 0;
    }
    [[nodiscard]] bool ok() const { return ok_; }
    void unpin() {
        REQUIRE(::syscall(SYS_io_uring_register, ring_.get(), IORING_UNREGISTER_BUFFERS, nullptr,
                          0) == 0);
    }

  private:
    file_descriptor ring_;
    bool ok_ = false;
};

TEST_CASE("kernel: pinned_pages: MOVE leaves a pinned page where it is, and says so", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE), "UFFDIO_MOVE");
    world w(protocol::private_move);
    const auto contents = w.fill(0, 8);
    pinned_page pin(w.page(5));
    UFFDMM_NEEDS(pin.ok(), "io_uring");
    const kernel_result r = w.os.take_out({0}, 8, {0});
    REQUIRE(r.done == 5);
    REQUIRE(r.status == kernel_status::busy);
    REQUIRE(same(w.page(5), contents.data() + 5 * page_size));
    pin.unpin();
    REQUIRE(w.os.take_out({5}, 3, {5}).done == 3);
    REQUIRE(same(w.os.frame({0}), contents.data(), 8));
}

// So a page that is clean, and may be discarded, is not pinned by anybody who writes to it.
TEST_CASE("kernel: pinned_pages: a protected page is pinned for writing by a write fault",
          "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        (void)w.fill(5, 1, true);
        std::atomic<bool> ok{false};
        vcpu cpu(w, [&] { ok = pinned_page(w.page(5)).ok(); });
        while (!cpu.done() && !w.has_message())
            std::this_thread::yield();
        UFFDMM_NEEDS(!cpu.done(), "io_uring");
        REQUIRE(w.next_message().what == kind::protect);
        REQUIRE(w.os.write_protect({5}, 1, false).done == 1);
        cpu.join();
        REQUIRE(ok);
    }
}

/// KiB in huge pages of the mapping at `at`.
std::size_t huge_page_kib(const std::byte* at) {
    char start[32];
    std::snprintf(start, sizeof start, "%lx-",
                  static_cast<unsigned long>(reinterpret_cast<std::uintptr_t>(at)));
    std::ifstream smaps("/proc/self/smaps");
    bool inside = false;
    for (std::string line; std::getline(smaps, line);) {
        inside = inside || line.rfind(start, 0) == 0;
        std::size_t kib = 0;
        if (inside && std::sscanf(line.c_str(), "AnonHugePages: %zu kB", &kib) == 1)
            return kib;
    }
    return 0;
}

TEST_CASE("kernel: partial_huge_page: one page of a huge page leaves, its neighbours stay",
          "[kernel]") {
    constexpr std::size_t huge = std::size_t{2} << 20;
    for (const protocol p : protocols()) {
        if (p == protocol::shared)
            continue;
        INFO(name_of(p));
        const mapping raw = mapping::anonymous(2 * huge);
        const auto start = reinterpret_cast<std::uintptr_t>(raw.data());
        auto* at = raw.data() + (huge - start % huge) % huge;
        REQUIRE(::madvise(at, huge, MADV_HUGEPAGE) == 0);
        std::memset(at, 0x5a, huge);
        UFFDMM_NEEDS(huge_page_kib(at) != 0, "transparent huge pages");
        region_config config = region_of(p, huge / page_size);
        config.address = at;
        world w(p, config);
        REQUIRE(mapped_areas(at, huge).front().has("nh"));
        REQUIRE(w.os.take_out({100}, 1, {0}).done == 1);
        REQUIRE(load(w.os.frame({0})) == 0x5a5a5a5a5a5a5a5a);
        REQUIRE(load(w.page(99)) == 0x5a5a5a5a5a5a5a5a);
        REQUIRE(load(w.page(101)) == 0x5a5a5a5a5a5a5a5a);
        REQUIRE_FALSE(w.has_message());
        vcpu cpu(w, [&] { (void)load(w.page(100)); });
        REQUIRE(w.next_message().pages.first == page_index{100});
        REQUIRE(w.os.copy_in({100}, 1, w.os.frame({0}), false).done == 1);
        cpu.join();
    }
}

TEST_CASE("kernel: second_mapping: contents in a frame win over a hole read through an alias",
          "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_WP_HUGETLBFS_SHMEM),
                 "shmem userfaultfd");
    world w(protocol::shared);
    const auto contents = w.fill(4, 1);
    const mapping alias = mapping::shared(w.memory.fd(), w.memory.size(), 0);
    REQUIRE(w.os.take_out({4}, 1, {0}).done == 1);
    REQUIRE(load(alias.data() + 4 * page_size) == 0); // a fresh zero page, and no event
    REQUIRE_FALSE(w.has_message());
    std::uint64_t seen = 0;
    vcpu cpu(w, [&] { seen = load(w.page(4)); });
    REQUIRE(w.next_message().what == kind::minor); // this is how it shows
    REQUIRE(w.os.copy_in({4}, 1, w.os.frame({0}), false).status == kernel_status::exists);
    REQUIRE(w.os.discard({4}, 1).done == 1);
    REQUIRE(w.os.copy_in({4}, 1, w.os.frame({0}), false).done == 1);
    cpu.join();
    REQUIRE(seen == load(contents.data()));
}

TEST_CASE("kernel: punch_hole_is_silent: no event tells of it, the next access is a fault",
          "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_WP_HUGETLBFS_SHMEM),
                 "shmem userfaultfd");
    world w(protocol::shared);
    (void)w.fill(0, 2);
    REQUIRE(::fallocate(w.memory.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, page_size) ==
            0);
    REQUIRE_FALSE(w.has_message());
    vcpu cpu(w, [&] { (void)load(w.page(0)); });
    REQUIRE(w.next_message().what == kind::missing);
    REQUIRE(w.os.zero_in({0}, 1).done == 1);
    cpu.join();
}

TEST_CASE("kernel: a shared page unmapped from the guest comes back by continue_in", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_WP_HUGETLBFS_SHMEM),
                 "shmem userfaultfd");
    world w(protocol::shared);
    const auto contents = w.fill(1, 1);
    REQUIRE(::madvise(w.page(1), page_size, MADV_DONTNEED) == 0); // keeps shared contents
    std::uint64_t seen = 0;
    vcpu cpu(w, [&] { seen = load(w.page(1)); });
    REQUIRE(w.next_message().what == kind::minor);
    REQUIRE(w.os.continue_in({2}, 1, false).status == kernel_status::missing);
    REQUIRE(w.os.continue_in({1}, 1, true).done == 1);
    REQUIRE(w.os.continue_in({1}, 1, false).status == kernel_status::exists);
    cpu.join();
    REQUIRE(seen == load(contents.data()));
    vcpu writer(w, [&] { store(w.page(1), 3); });
    REQUIRE(w.next_message().what == kind::protect);
    REQUIRE(w.os.write_protect({1}, 1, false).done == 1);
    writer.join();
}

TEST_CASE("kernel: frames of many runs are given back in one call", "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p, 512);
        (void)w.fill(0, 512);
        REQUIRE(w.os.take_out({0}, 512, {0}).done == 512);
        std::vector<frame_run> runs;
        for (std::uint32_t f = 0; f < 512; f += 4)
            runs.push_back({{f}, 2});
        const kernel_result r = w.os.release_frames(runs);
        REQUIRE(r.status == kernel_status::ok);
        REQUIRE(r.done == 256);
        for (std::uint32_t f = 0; f < 512; ++f)
            REQUIRE((load(w.os.frame({f})) == 0) == (f % 4 < 2));
    }
}

} // namespace
