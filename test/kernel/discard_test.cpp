// SPDX-License-Identifier: BSD-3-Clause
/// Discarding many runs of guest pages at once.

#include <array>
#include <vector>

#include <sys/mman.h>

#include "support/kernel_fixture.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;
using kind = kernel_message::kind;

bool present(const world& w, std::uint32_t page) {
    unsigned char in_memory = 0;
    REQUIRE(::mincore(w.page(page), page_size, &in_memory) == 0);
    return (in_memory & 1) != 0;
}
/// Which of the first pages are there, as a mask.
std::uint64_t presence(const world& w, page_count pages) {
    std::uint64_t mask = 0;
    for (page_count i = 0; i < pages; ++i)
        mask |= std::uint64_t{present(w, i)} << i;
    return mask;
}

TEST_CASE("kernel: discard_all: the runs leave, what lies between them stays", "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p, 16);
        const auto contents = w.fill(0, 16);
        const std::array<page_run, 3> runs{{{{9}, 4}, {{1}, 1}, {{4}, 2}}}; // in no order
        const kernel_result r = w.os.discard_all(runs);
        REQUIRE(r.status == kernel_status::ok);
        REQUIRE(r.done == 7);
        REQUIRE(presence(w, 16) == 0xe1cd);
        REQUIRE(same(w.page(13), contents.data() + bytes_of(13), 3));
        REQUIRE(w.os.discard_all(runs).done == 7); // they may be gone already
        for (const page_run& run : runs)
            REQUIRE(w.os.zero_in(run.first, run.count).done == run.count);
    }
}

TEST_CASE("kernel: lost_wake: discard_all wakes who waits to write to one of the pages",
          "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p, 16);
        (void)w.fill(0, 16, true);
        vcpu cpu(w, [&] { store(w.page(10), 77); });
        REQUIRE(w.next_message().what == kind::protect);
        const std::array<page_run, 2> runs{{{{10}, 1}, {{2}, 1}}};
        REQUIRE(w.os.discard_all(runs).done == 2);
        const kernel_message m = w.next_message(); // it came back and found the page gone
        REQUIRE(m.what == kind::missing);
        REQUIRE(m.pages == page_run{{10}, 1});
        REQUIRE(w.os.zero_in({10}, 1).done == 1);
        cpu.join();
        REQUIRE(load(w.page(10)) == 77);
    }
}

TEST_CASE("kernel: discard_all: where a page is locked, it tells how far it came", "[kernel]") {
    for (const protocol p : {protocol::private_copy, protocol::private_move}) {
        if (p == protocol::private_move && !probe().has(UFFD_FEATURE_MOVE))
            continue;
        INFO(name_of(p));
        world w(p, 16);
        const auto contents = w.fill(0, 16);
        UFFDMM_NEEDS(::mlock2(w.page(6), page_size, MLOCK_ONFAULT) == 0, "mlock");
        const std::array<page_run, 3> runs{{{{0}, 2}, {{4}, 4}, {{10}, 2}}};
        const kernel_result r = w.os.discard_all(runs);
        REQUIRE(r.status == kernel_status::busy);
        REQUIRE(r.done == 4); // 0, 1, 4, 5
        REQUIRE(presence(w, 16) == 0xffcc);
        REQUIRE(same(w.page(6), contents.data() + bytes_of(6), 10));
        // It still takes many at a time: what one page refuses is no reason to doubt the kernel.
        const std::array<page_run, 2> others{{{{10}, 2}, {{14}, 2}}};
        REQUIRE(w.os.discard_all(others).done == 4);
    }
}

TEST_CASE("kernel: discard_all: what is not mapped any more is gone", "[kernel]") {
    world w(protocol::private_copy, 16);
    (void)w.fill(0, 16);
    REQUIRE(::munmap(w.page(5), page_size) == 0);
    const std::array<page_run, 3> runs{{{{0}, 2}, {{4}, 3}, {{10}, 1}}};
    const kernel_result r = w.os.discard_all(runs);
    REQUIRE(r.status == kernel_status::ok);
    REQUIRE(r.done == 6);
    for (const std::uint32_t page : {0u, 1u, 4u, 6u, 10u})
        REQUIRE_FALSE(present(w, page));
    REQUIRE(present(w, 7));
}

} // namespace
