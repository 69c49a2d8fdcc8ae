// SPDX-License-Identifier: BSD-3-Clause

/// A guest whose memory is on an NBD server.

#include <thread>

#include "manager/moving.hpp"
#include "tier/nbd/nbd_server.hpp"

using namespace uffdmm;
using namespace uffdmm::test;
using std::chrono::milliseconds;

namespace {

/// A manager over a server on a file.
struct setup {
    explicit setup(milliseconds lost_after = milliseconds(300'000),
                   const nbd_software& software = nbdkit)
        : server(software, 64 << 20) {
        (void)probe();
        manager_config config;
        config.limit = 8 * mib;
        config.read_retry_time = milliseconds(20);
        config.on_event = events.handler();
        nbd_tier_config tier = server.config();
        tier.lost_after = lost_after;
        config.tiers = {tier};
        m.emplace(config);
        region_config guest;
        guest.size = 32 * mib;
        guest.shards = 2;
        r = &m->add_region(guest);
    }
    void wait_for(event::kind what) const {
        for (int i = 0; i < 3000 && !events.seen(what); ++i)
            std::this_thread::sleep_for(milliseconds(10));
        REQUIRE(events.seen(what));
    }

    nbd_server server;
    event_log events;
    std::optional<manager> m;
    region* r = nullptr;
};

} // namespace

TEST_CASE("nbd manager: guest threads find every page, across a crash of the server") {
    const auto software = GENERATE(nbdkit, qemu_nbd, storage_daemon);
    UFFDMM_NEEDS_NBD_SERVER(software);
    INFO(software.program);
    setup s(milliseconds(300'000), software);
    stamp_all(*s.r, 1);
    std::atomic<std::uint64_t> wrong{0};
    const auto guest = [&](std::uint64_t first) {
        for (std::uint64_t version = 1; version <= 3; ++version)
            for (std::uint64_t i = first; i < pages_in(*s.r); i += 3) {
                wrong += stamp_holds(page_of(*s.r, i), i, version) ? 0 : 1;
                stamp(page_of(*s.r, i), i, version + 1);
            }
    };
    std::vector<std::thread> guests;
    for (std::uint64_t first = 0; first < 3; ++first)
        guests.emplace_back(guest, first);
    for (int crash = 0; crash < 3; ++crash) {
        std::this_thread::sleep_for(milliseconds(100));
        s.server.kill();
        std::this_thread::sleep_for(milliseconds(100));
        s.server.start();
    }
    for (std::thread& thread : guests)
        thread.join();
    CHECK(wrong == 0);
    CHECK(wrong_pages(*s.r, 4) == 0);
    CHECK(s.m->statistics().poisoned_pages == 0);
    CHECK(s.m->statistics().tiers[1].reads > 0);
}

TEST_CASE("nbd manager: a guest moves with the locations of its pages on an export") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server(nbdkit, 256 << 20);
    const side_options options{
        .file = true, .store = server.directory().file("table"), .uri = server.uri()};
    std::optional<side> from(std::in_place, options);
    side to(options);
    stamp_all(from->r, 1);
    from->rest();
    REQUIRE(to.r.store()->attach(from->r.store()->volume()).ok());
    {
        const auto source = from->r.begin_source({.locations = true}).value();
        const auto target = to.r.begin_target().value();
        mover move(from->r, *source, *target);
        for (std::uint64_t i = 0; i < pages_in(from->r); ++i)
            move.page(i);
        REQUIRE(target->flush().ok());
        CHECK(move.kinds[static_cast<unsigned>(page_kind::located)] > 1000);
        handover_nonce nonce{};
        nonce.fill(7);
        REQUIRE(from->r.store()->offer(nonce, false).ok());
        REQUIRE(to.r.store()->accept(nonce).ok());
        REQUIRE(source->complete().ok());
    }
    from.reset();
    server.kill(); // the destination finds them once it is back
    server.start();
    CHECK(wrong_pages(to.r, 1) == 0);
    stamp_all(to.r, 2);
    CHECK(wrong_pages(to.r, 2) == 0);
    CHECK(to.m.statistics().poisoned_pages == 0);
}

TEST_CASE("nbd manager: slow_tier_blocks_fast_fault: the rest goes on while the server is away") {
    UFFDMM_NEEDS_NBDKIT();
    setup s;
    stamp_all(*s.r, 1);
    REQUIRE(s.r->evict(0, 16 * mib).ok());
    s.server.kill();
    std::atomic<bool> right{false};
    std::thread waiter([&] { right = stamp_holds(page_of(*s.r, 5), 5, 1); });
    s.wait_for(event::kind::tier_degraded);
    CHECK(s.m->statistics().tiers[1].degraded);
    REQUIRE(s.r->discard(24 * mib, 4 * mib).ok());
    for (std::uint64_t i = 24 * mib / page_size; i < 28 * mib / page_size; ++i)
        REQUIRE(all_zero(page_of(*s.r, i))); // faults that need no server
    CHECK_FALSE(s.events.seen(event::kind::page_poisoned));
    s.server.start();
    waiter.join();
    CHECK(right);
    s.wait_for(event::kind::tier_recovered);
    CHECK(s.m->statistics().poisoned_pages == 0);
}

TEST_CASE("nbd manager: server_gone: its pages are poisoned, those in memory are not") {
    UFFDMM_NEEDS_NBDKIT();
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_POISON), "UFFDIO_POISON");
    setup s(milliseconds(300));
    stamp(page_of(*s.r, 5), 5, 1);
    REQUIRE(s.r->evict(0, mib).ok());
    REQUIRE(s.m->wait_until_idle(std::chrono::seconds(30)).ok());
    stamp(page_of(*s.r, 2000), 2000, 1);
    s.server.kill();
    CHECK_FALSE(readable(page_of(*s.r, 5)));
    REQUIRE(s.m->wait_until_idle(std::chrono::seconds(30)).ok()); // it is woken before it is told
    CHECK(s.events.seen(event::kind::page_poisoned));
    CHECK(stamp_holds(page_of(*s.r, 2000), 2000, 1));
    CHECK(s.m->statistics().poisoned_pages == 1);
}
