// SPDX-License-Identifier: BSD-3-Clause
/// Messages, waits and wakes on the real kernel.

#include <cerrno>

#include <sys/mman.h>
#include <unistd.h>

#include "support/kernel_fixture.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;
using kind = kernel_message::kind;

linux_kernel_options with_events() {
    linux_kernel_options options;
    options.remove_events = true;
    return options;
}

/// UFFDIO_COPY that leaves the waiters asleep: somebody else's installation.
void install_without_waking(world& w, std::uint32_t page, const std::byte* contents) {
    uffdio_copy argument{};
    argument.dst = w.os.address({page});
    argument.src = reinterpret_cast<std::uintptr_t>(contents);
    argument.len = page_size;
    argument.mode = UFFDIO_COPY_MODE_DONTWAKE;
    REQUIRE(system_ioctl(w.os.events_fd(), UFFDIO_COPY, &argument) == 0);
}

TEST_CASE("fault: a message names page, kind and thread, whatever the byte", "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        pid_t thread = 0;
        vcpu cpu(w, [&] {
            thread = ::gettid();
            store(w.page(9) + 1000, 1); // a sub-page address
        });
        const kernel_message m = w.next_message();
        REQUIRE(m.what == kind::missing);
        REQUIRE(m.write);
        REQUIRE(m.pages == page_run{{9}, 1});
        REQUIRE(w.os.zero_in({8}, 4).done == 4);
        cpu.join();
        REQUIRE(m.thread == static_cast<std::uint32_t>(thread));
        REQUIRE(load(w.page(9) + 1000) == 1);
        REQUIRE(load(w.page(10)) == 0);
    }
}

TEST_CASE("fault: read drains the descriptor in batches", "[kernel]") {
    world w(protocol::private_copy);
    std::vector<std::unique_ptr<vcpu>> cpus;
    for (std::uint32_t i = 0; i < 5; ++i)
        cpus.push_back(std::make_unique<vcpu>(w, [&w, i] { (void)load(w.page(i * 10)); }));
    std::vector<kernel_message> got;
    while (got.size() < 5)
        got.push_back(w.next_message());
    kernel_message none[8];
    REQUIRE(w.os.read(none) == 0);
    for (const kernel_message& m : got)
        REQUIRE(w.os.zero_in(m.pages.first, 1).done == 1);
    for (auto& cpu : cpus)
        cpu->join();
}

TEST_CASE("fault: eagain_has_two_encodings: a copy stopped by a present page says how far it came",
          "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        const auto there = w.fill(4, 1);
        const auto contents = stamped(8, 50);
        const kernel_result r = w.os.copy_in({0}, 8, contents.data(), false);
        REQUIRE(r.done == 4);
        REQUIRE(r.status == kernel_status::exists);
        REQUIRE(same(w.page(0), contents.data(), 4));
        REQUIRE(same(w.page(4), there.data()));
        const kernel_result zero = w.os.zero_in({2}, 8);
        REQUIRE(zero.done == 0);
        REQUIRE(zero.status == kernel_status::exists);
    }
}

TEST_CASE("fault: remove_pending_makes_eagain: nothing works until the event is read", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE | UFFD_FEATURE_EVENT_REMOVE), "MOVE, EVENT_REMOVE");
    world w(protocol::private_move, 64, with_events());
    REQUIRE(w.os.traits().remove_events);
    (void)w.fill(0, 8);
    REQUIRE(w.os.take_out({20}, 1, {20}).done == 1);
    const auto contents = stamped(2);
    vcpu embedder(w, [&] { ::madvise(w.page(2), 3 * page_size, MADV_DONTNEED); });
    pollfd p{w.os.events_fd(), POLLIN, 0};
    REQUIRE(::poll(&p, 1, world::patience_ms) == 1);
    REQUIRE(w.os.copy_in({30}, 2, contents.data(), false).status == kernel_status::again);
    REQUIRE(w.os.zero_in({30}, 2).status == kernel_status::again);
    REQUIRE(w.os.move_in({30}, 1, {20}).status == kernel_status::again);
    REQUIRE(w.os.write_protect({0}, 1, true).status == kernel_status::again);
    REQUIRE(w.os.wake({0}, 1).status == kernel_status::ok);
    const kernel_message m = w.next_message();
    REQUIRE(m.what == kind::remove);
    REQUIRE(m.pages == page_run{{2}, 3});
    embedder.join();
    REQUIRE(w.os.copy_in({30}, 2, contents.data(), false).done == 2);
    REQUIRE(w.os.zero_in({2}, 3).done == 3); // the discarded pages are gone
}

TEST_CASE("fault: madvise_self_deadlock: frames are given back though events are on", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE | UFFD_FEATURE_EVENT_REMOVE), "MOVE, EVENT_REMOVE");
    world w(protocol::private_move, 64, with_events());
    (void)w.fill(0, 8);
    REQUIRE(w.os.take_out({0}, 8, {0}).done == 8);
    const frame_run runs[] = {{{0}, 4}, {{6}, 2}};
    REQUIRE(w.os.release_frames(runs).done == 6); // would hang if the arena reported events
    REQUIRE_FALSE(w.has_message());
}

TEST_CASE("fault: eexist_means_race: the loser wakes the waiter by hand", "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        const auto winner = stamped(1, 7);
        const auto loser = stamped(1, 8);
        std::uint64_t seen = 0;
        vcpu cpu(w, [&] { seen = load(w.page(0)); });
        REQUIRE(w.next_message().what == kind::missing);
        install_without_waking(w, 0, winner.data());
        REQUIRE(w.os.copy_in({0}, 1, loser.data(), false).status == kernel_status::exists);
        REQUIRE_FALSE(cpu.done());
        REQUIRE(w.os.wake({0}, 1).status == kernel_status::ok);
        cpu.join();
        REQUIRE(seen == load(winner.data()));
    }
}

TEST_CASE("fault: uffd_msg_event_is_an_enum: UNMAP has all bits of PAGEFAULT and is none",
          "[kernel]") {
    static_assert((UFFD_EVENT_UNMAP & UFFD_EVENT_PAGEFAULT) == UFFD_EVENT_PAGEFAULT);
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE | UFFD_FEATURE_EVENT_UNMAP), "MOVE, EVENT_UNMAP");
    world w(protocol::private_move, 64, with_events());
    (void)w.fill(0, 1);
    REQUIRE(w.os.take_out({0}, 1, {0}).done == 1);
    vcpu embedder(w, [&] { ::munmap(w.page(60), 4 * page_size); });
    const kernel_message m = w.next_message();
    REQUIRE(m.what == kind::unmap);
    REQUIRE(m.pages == page_run{{60}, 4});
    embedder.join();
    const auto contents = stamped(1);
    // There is nothing to install into any more, and every operation says so.
    REQUIRE(w.os.copy_in({60}, 1, contents.data(), false).status == kernel_status::gone);
    REQUIRE(w.os.zero_in({60}, 1).status == kernel_status::gone);
    REQUIRE(w.os.move_in({60}, 1, {0}).status == kernel_status::gone);
    REQUIRE(w.os.take_out({60}, 1, {1}).status == kernel_status::gone);
    REQUIRE(w.os.write_protect({60}, 1, false).status == kernel_status::gone);
}

TEST_CASE("fault: events are clipped to the shard's slice", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE | UFFD_FEATURE_EVENT_REMOVE), "MOVE, EVENT_REMOVE");
    guest_memory memory(region_of(protocol::private_move, 64));
    linux_kernel first(memory.slice(0, 32), 32, with_events());
    linux_kernel second(memory.slice(bytes_of(32), 32), 32, with_events());
    std::thread embedder(
        [&] { ::madvise(memory.data() + bytes_of(30), 4 * page_size, MADV_DONTNEED); });
    for (linux_kernel* os : {&first, &second}) {
        pollfd p{os->events_fd(), POLLIN, 0};
        CHECK(::poll(&p, 1, world::patience_ms) == 1);
        kernel_message m[2];
        CHECK(os->read(m) == 1);
        CHECK(m[0].what == kind::remove);
        CHECK(m[0].pages == (os == &first ? page_run{{30}, 2} : page_run{{0}, 2}));
    }
    embedder.join();
}

TEST_CASE("fault: remove_after_unregister: a late event is still read and clipped", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE | UFFD_FEATURE_EVENT_REMOVE), "MOVE, EVENT_REMOVE");
    world w(protocol::private_move, 64, with_events());
    vcpu embedder(w, [&] { ::madvise(w.page(0), page_size, MADV_DONTNEED); });
    pollfd p{w.os.events_fd(), POLLIN, 0};
    REQUIRE(::poll(&p, 1, world::patience_ms) == 1);
    REQUIRE(w.os.unregister_guest().status == kernel_status::ok);
    const kernel_message m = w.next_message();
    REQUIRE(m.what == kind::remove);
    REQUIRE(m.pages == page_run{{0}, 1});
    embedder.join();
    const auto contents = stamped(1);
    REQUIRE(w.os.copy_in({0}, 1, contents.data(), false).status == kernel_status::gone);
}

TEST_CASE("fault: copy_source_faults: an unreadable source is reported, not installed",
          "[kernel]") {
    world w(protocol::private_copy);
    const mapping source = mapping::anonymous(2 * page_size);
    REQUIRE(::mprotect(source.data() + page_size, page_size, PROT_NONE) == 0);
    const kernel_result r = w.os.copy_in({0}, 2, source.data(), false);
    REQUIRE(r.done == 1); // never touched, but readable: it may fault, and does
    REQUIRE(r.status == kernel_status::unsupported);
    REQUIRE(r.os_errno == EFAULT);
    vcpu cpu(w, [&] { (void)load(w.page(1)); });
    REQUIRE(w.next_message().what == kind::missing);
    REQUIRE(w.os.zero_in({1}, 1).done == 1);
    cpu.join();
}

TEST_CASE("fault: poison gives the page a machine check, and only that page", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_POISON), "UFFDIO_POISON");
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        REQUIRE(w.os.poison({3}, 2).done == 2);
        int fds[2];
        REQUIRE(::pipe(fds) == 0);
        const file_descriptor in(fds[0]);
        const file_descriptor out(fds[1]);
        REQUIRE(::write(out.get(), w.page(3), 1) == -1); // a system call gets an error for SIGBUS
        REQUIRE((errno == EFAULT || errno == EHWPOISON));
        vcpu cpu(w, [&] { (void)load(w.page(2)); });
        REQUIRE(w.next_message().pages.first == page_index{2});
        REQUIRE(w.os.zero_in({2}, 1).done == 1);
        cpu.join();
    }
}

TEST_CASE("fault: handler_dies: unregistering wakes waiters, and gives plain memory if all is in",
          "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        const auto contents = w.fill(0, 4);
        REQUIRE(w.os.take_out({0}, 4, {0}).done == 4);
        REQUIRE(w.os.copy_in({0}, 4, w.os.frame({0}), true).done == 4);
        vcpu untouched(w, [&] { (void)load(w.page(50)); });
        REQUIRE(w.next_message().pages.first == page_index{50});
        REQUIRE(w.os.unregister_guest().status == kernel_status::ok);
        untouched.join();
        REQUIRE(same(w.page(0), contents.data(), 4));
        store(w.page(1), 1); // write-protection ended with it
        REQUIRE(load(w.page(50)) == 0);
        REQUIRE_FALSE(w.has_message());
    }
}

} // namespace
