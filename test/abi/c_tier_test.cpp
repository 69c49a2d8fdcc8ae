// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>

#include "c_ram_tier.h"
#include "c_world.hpp"

using namespace uffdmm::test;

namespace {

struct event_log {
    std::atomic<int> degraded{0};
    std::atomic<int> recovered{0};
    std::atomic<int> poisoned{0};
    std::atomic<uint64_t> address{0};
};

void log_event(void* user_data, const uffdmm_event* event) {
    auto& log = *static_cast<event_log*>(user_data);
    if (event->kind == UFFDMM_EVENT_TIER_DEGRADED && std::string("mine") == event->tier)
        ++log.degraded;
    if (event->kind == UFFDMM_EVENT_TIER_RECOVERED)
        ++log.recovered;
    if (event->kind == UFFDMM_EVENT_PAGE_POISONED) {
        log.address = event->address;
        ++log.poisoned;
    }
}

/// A chain of one tier, written in C.
struct c_tier_options {
    explicit c_tier_options(bool later = false) : ops(c_ram_tier_ops(later ? 1 : 0)) {
        controls.later = later ? 1 : 0;
        REQUIRE(uffdmm_tier_options_init(&tier, sizeof tier, UFFDMM_TIER_CUSTOM) == 0);
        tier.name = "mine";
        tier.ops = &ops;
        tier.user_data = &controls;
        tier.free_user_data = c_ram_tier_count_free;
        manager.tiers = &tier;
        manager.tier_count = 1;
        manager.on_event = &handler;
    }

    c_ram_tier_controls controls{};
    event_log log;
    uffdmm_tier_ops ops;
    uffdmm_tier_options tier{};
    uffdmm_event_handler handler{sizeof handler, log_event, &log, nullptr};
    uffdmm_manager_options manager = manager_options(16 * mib);
};

} // namespace

TEST_CASE("abi: guest memory lives in a tier written in C") {
    const bool later = GENERATE(false, true);
    c_tier_options o(later);
    {
        c_world w(o.manager);
        uffdmm_region* region = w.add(48 * mib);
        fill(region, 1);
        CHECK(wrong_pages(region, 1) == 0);
    }
    CHECK(o.controls.stored > 0);
    CHECK(o.controls.loaded > 0);
    CHECK(o.controls.released <= o.controls.stored);
}

TEST_CASE("abi: a tier written in C is opened and closed per region, its user_data freed once") {
    c_tier_options o;
    {
        c_world w(o.manager);
        uffdmm_region* first = w.add(4 * mib);
        static_cast<void>(w.add(4 * mib));
        CHECK(o.controls.opened == 2);
        REQUIRE(uffdmm_region_remove(first, UFFDMM_DROP) == 0);
        CHECK(o.controls.closed == 1);
        CHECK(o.controls.freed == 0);
    }
    CHECK(o.controls.closed == 2);
    CHECK(o.controls.freed == 1);
}

TEST_CASE("abi: a region is not added if its tier does not open, and says why") {
    c_tier_options o;
    o.controls.open_status = -EMFILE;
    c_world w(o.manager);
    uffdmm_region* region = nullptr;
    const uffdmm_region_options r = region_options(4 * mib);
    CHECK(uffdmm_manager_add_region(w, &r, &region) == -EMFILE);
    CHECK(says("tier \"mine\": open failed: Too many open files"));
    CHECK(uffdmm_manager_region_count(w) == 0);
    CHECK(o.controls.closed == 0);
    o.controls.open_status = 0;
    CHECK(uffdmm_manager_add_region(w, &r, &region) == 0);
}

TEST_CASE("abi: io_error_on_write: an event tells of a tier that fails; the guest goes on") {
    c_tier_options o;
    o.controls.fail_stores = 1;
    c_world w(o.manager);
    uffdmm_region* region = w.add(32 * mib);
    fill(region, 2);
    CHECK(o.log.degraded > 0);
    CHECK(wrong_pages(region, 2) == 0);
}

TEST_CASE("abi: torn_or_stale_slot: pinning a page whose contents are lost gives EHWPOISON") {
    c_tier_options o;
    c_world w(o.manager);
    uffdmm_region* region = w.add(4 * mib);
    fill(region, 3);
    uint64_t evicted = 0;
    REQUIRE(uffdmm_region_evict(region, 0, page, &evicted) == 0);
    REQUIRE(evicted == page);
    o.controls.corrupt_loads = 1;
    CHECK(uffdmm_region_pin(region, 0, page) == -EHWPOISON);
    CHECK(uffdmm_last_errc() == UFFDMM_POISONED);
    CHECK(o.log.poisoned == 1);
    CHECK(o.log.address == reinterpret_cast<uint64_t>(uffdmm_region_data(region)));
    CHECK(w.stats().poisoned_pages == 1);
}
