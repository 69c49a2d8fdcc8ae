// SPDX-License-Identifier: BSD-3-Clause

/// Tiers that fail under a real guest: nothing is lost that is not reported.

#include "support/managed_world.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

/// A manager over one fake tier per shard that the test controls.
struct setup {
    explicit setup(bool synchronous, byte_count limit = 8 * mib, byte_count size = 16 * mib)
        : m(config_of(*this, synchronous, limit)), r(m.add_region(region_of(size))) {}

    static manager_config config_of(setup& s, bool synchronous, byte_count limit) {
        (void)probe();
        manager_config config;
        config.limit = limit;
        config.read_retry_time = std::chrono::milliseconds(20);
        config.on_event = s.events.handler();
        s.controls = std::make_shared<fake_tier_controls>();
        config.tiers = {custom_tier_config{"fake", [&s, synchronous](const tier_context&) {
                                               return std::make_unique<fake_tier>(
                                                   fake_tier::shape{synchronous, false},
                                                   s.controls);
                                           }}};
        return config;
    }
    static region_config region_of(byte_count size) {
        region_config config;
        config.size = size;
        config.prefetch = "off";
        return config;
    }
    /// The controls are read by the shard's thread: changed while it rests.
    void quiesce() { REQUIRE(m.wait_until_idle(std::chrono::seconds(30)).ok()); }

    event_log events;
    std::shared_ptr<fake_tier_controls> controls;
    manager m;
    region& r;
};

} // namespace

TEST_CASE("tier failure: io_error_on_read: a page that cannot be read is poisoned alone") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_POISON), "UFFDIO_POISON");
    const auto synchronous = GENERATE(true, false);
    setup s(synchronous);
    stamp_all(s.r, 1);
    REQUIRE(s.r.evict(0, s.r.size()).ok());
    s.quiesce();
    s.controls->fail_loads = true;
    CHECK_FALSE(readable(page_of(s.r, 5)));
    s.quiesce();
    s.controls->fail_loads = false;
    CHECK(s.events.seen(event::kind::page_poisoned));
    CHECK(s.m.statistics().poisoned_pages == 1);
    CHECK_FALSE(readable(page_of(s.r, 5)));
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < pages_in(s.r); ++i)
        if (i != 5)
            wrong += stamp_holds(page_of(s.r, i), i, 1) ? 0 : 1;
    CHECK(wrong == 0);
    SECTION("until the guest discards it") {
        REQUIRE(s.r.discard(5 * page_size, page_size).ok());
        CHECK(all_zero(page_of(s.r, 5)));
        CHECK(s.m.statistics().poisoned_pages == 0);
    }
}

TEST_CASE("tier failure: torn_or_stale_slot: a corrupt slot poisons at once and is counted") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_POISON), "UFFDIO_POISON");
    setup s(false);
    stamp_all(s.r, 1);
    REQUIRE(s.r.evict(0, s.r.size()).ok());
    s.quiesce();
    s.controls->corrupt_next_load = true;
    CHECK_FALSE(readable(page_of(s.r, 9)));
    s.quiesce(); // the thread is woken before the shard has counted
    CHECK(s.m.statistics().tiers[1].corrupt == 1);
    CHECK(s.m.statistics().poisoned_pages == 1);
}

TEST_CASE("tier failure: io_error_on_write: pages stay, the tier is degraded, the guest goes on") {
    setup s(true);
    for (std::uint64_t i = 0; i < pages_in(s.r) / 4; ++i)
        stamp(page_of(s.r, i), i, 1);
    s.quiesce();
    s.controls->fail_stores = true;
    for (std::uint64_t i = pages_in(s.r) / 4; i < pages_in(s.r); ++i)
        stamp(page_of(s.r, i), i, 1);
    CHECK(s.events.seen(event::kind::tier_degraded));
    CHECK(s.events.seen(event::kind::over_limit)); // when_full = exceed: the guest does not notice
    CHECK(s.m.statistics().tiers[1].degraded);
    CHECK(s.m.statistics().tiers[1].write_errors > 0);
    CHECK(wrong_pages(s.r, 1) == 0);
}
