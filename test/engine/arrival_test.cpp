// SPDX-License-Identifier: BSD-3-Clause

/// What is promised of pages that come from elsewhere, on the fake kernel, one thing at a time.

#include "engine/arriving.hpp"

using namespace uffdmm;
using namespace uffdmm::test;
using kind = command::kind;

namespace {

const std::initializer_list<world_options> all_worlds{slow_world(), fast_world(),
                                                      shared(slow_world()), shared(fast_world())};

} // namespace

TEST_CASE("arrival: warm contents are resident, and the guest finds them without a fault") {
    for (const world_options& o : all_worlds) {
        shard_world w(o);
        arriving a(w, {{3}, 40});
        REQUIRE(a.wait().ok());
        const auto faults = counts(w).faults.load();
        for (page_index page{3}; page.value < 43; page = page + 1)
            CHECK(w.state(page) == page_state::resident);
        read(w, {{3}, 40});
        write(w, {{3}, 40});
        CHECK(counts(w).faults.load() == faults);
        CHECK(w.state({2}) == page_state::untouched);
        CHECK(w.state({43}) == page_state::untouched);
        w.check();
    }
}

TEST_CASE("arrival: cold contents go to a tier, and come in when touched") {
    for (const world_options& o : all_worlds) {
        shard_world w(o);
        arriving a(w, {{0}, 64}, {.cold = true});
        REQUIRE(a.wait().ok());
        CHECK(w.os.pages_mapped() == 0);
        CHECK(w.os.frames_in_use() == 0);
        for (page_index page{0}; page.value < 64; page = page + 1)
            CHECK(w.state(page) == page_state::swapped);
        CHECK(w.engine->tiers().counters(1).writes.load() == 64);
        w.check();
        read(w, {{0}, 64});
        CHECK(counts(w).refaults.load() == 0); // they were never here before
        write(w, {{0}, 64});
        REQUIRE(w.run_command(kind::evict, {{0}, 64}).ok());
        read(w, {{0}, 64});
        w.check();
    }
}

TEST_CASE("arrival: zeros and pages that repeat a word take no memory and no slot") {
    shard_world w(slow_world());
    for (const bool cold : {false, true}) {
        arriving a(w, {{cold ? 10u : 0u}, 7}, {.cold = cold, .versions = {0, 5, 6, 7, 12, 1, 0}});
        REQUIRE(a.wait().ok());
    }
    for (const unsigned first : {0u, 10u}) {
        CHECK(w.state({first}) == page_state::untouched);
        CHECK(w.engine->table()[{first + 1}].tier() == same_filled_tier);
        CHECK(w.state({first + 2}) == page_state::untouched);
        CHECK(w.state({first + 6}) == page_state::untouched);
    }
    CHECK(counts(w).resident_pages.load() == 2); // versions 7 and 1, warm
    w.check();
    w.verify_all();
}

TEST_CASE("arrival: warm pages become cold where no memory is free, and nothing is evicted") {
    world_options o = slow_world();
    o.room = 160;
    shard_world w(o);
    write(w, {{200}, 30});
    for (unsigned first = 0; first < 192; first += 64) {
        arriving a(w, {{first}, 64});
        REQUIRE(a.wait().ok());
    }
    w.steps(100);
    CHECK_FALSE(w.seen(event::kind::over_limit));
    w.check();
    page_count resident = 0;
    page_count swapped = 0;
    for (page_index page{0}; page.value < 192; page = page + 1) {
        resident += w.state(page) == page_state::resident ? 1 : 0;
        swapped += w.state(page) == page_state::swapped ? 1 : 0;
    }
    CHECK(resident > 40);
    CHECK(swapped > 40);
    w.verify_all();
}

TEST_CASE("arrival: a page that is not untouched is refused, and nothing changes") {
    shard_world w(slow_world());
    write(w, {{5}, 1});
    for (const auto state : {page_state::resident, page_state::swapped}) {
        REQUIRE(w.state({5}) == state);
        for (const bool cold : {false, true}) {
            arriving a(w, {{0}, 10}, {.cold = cold, .versions = std::vector<unsigned>(10, 3)});
            CHECK(a.wait().code() == errc::wrong_state);
            a.never_came();
        }
        CHECK(w.state({0}) == page_state::untouched);
        force_out(w, {{5}, 1});
    }
    w.check();
    w.verify_all();
}

TEST_CASE("arrival: what is out of the guest is replaced, what is in it is told") {
    for (const world_options& o : all_worlds) {
        shard_world w(o);
        write_and_force_out(w, {{0}, 4}); // swapped
        w.controls[0]->refuse_stores = true;
        write(w, {{4}, 4});
        REQUIRE(w.run_command(kind::evict, {{4}, 4}).ok()); // staged
        w.controls[0]->refuse_stores = false;
        write(w, {{8}, 4}); // resident
        arriving a(w, {{0}, 16}, {.replace = true, .versions = std::vector<unsigned>(16, 9)});
        REQUIRE(a.wait().ok());
        CHECK(a.present() == 0xf00);
        w.check();
        w.verify_all();
        w.steps(200);
        CHECK(w.controls[0]->stored_pages == 0);
    }
}

TEST_CASE("arrival: a page becomes zeros, whatever it was") {
    for (const world_options& o : all_worlds) {
        shard_world w(o);
        write_and_force_out(w, {{0}, 4});
        write(w, {{4}, 2});
        arriving a(w, {{0}, 8}, {.zero = true, .replace = true});
        REQUIRE(a.wait().ok());
        CHECK(a.present() == 0b110000);
        CHECK(w.state({0}) == page_state::untouched);
        w.check();
        w.verify_all();
        CHECK(w.controls[0]->stored_pages == 0);
    }
}

TEST_CASE("arrival: a page that is being read may be replaced") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 2});
    w.controls[0]->hold = true;
    REQUIRE(w.run_command(kind::prefetch, {{0}, 2}).ok());
    REQUIRE(is(w, {0}, page_flag::loading));
    arriving a(w, {{0}, 2}, {.replace = true, .versions = {9, 9}});
    w.steps(3);
    w.controls[0]->hold = false;
    REQUIRE(a.wait().ok());
    w.steps(50);
    w.check();
    w.verify_all();
    CHECK(w.controls[0]->stored_pages == 0);
}

TEST_CASE("arrival: a fault on an arriving page waits and finds the contents") {
    for (const world_options& o : {slow_world(), shared(slow_world())}) {
        shard_world w(o);
        w.controls[0]->hold = true;
        arriving a(w, {{0}, 8}, {.cold = true});
        w.steps(3);
        REQUIRE(is(w, {4}, page_flag::arriving));
        w.start_access(0, {4}, false);
        w.start_access(1, {5}, true);
        w.steps(20);
        CHECK(w.blocked(0));
        CHECK(w.blocked(1));
        w.controls[0]->hold = false;
        REQUIRE(a.wait().ok());
        w.wait_for_vcpu(0); // compares
        w.wait_for_vcpu(1);
        w.check();
        w.verify_all();
    }
}

TEST_CASE("arrival: a neighbour's fault does not fill an arriving page with zeros") {
    world_options o = slow_world();
    o.prefetch = "sequential";
    shard_world w(o);
    w.controls[0]->hold = true;
    arriving a(w, {{8}, 8}, {.cold = true});
    w.steps(3);
    for (unsigned page = 0; page < 8; ++page)
        w.touch({page}, false);
    w.touch({20}, false);
    for (unsigned page = 8; page < 16; ++page)
        CHECK(is(w, {page}, page_flag::arriving));
    w.controls[0]->hold = false;
    REQUIRE(a.wait().ok());
    w.verify_all();
}

TEST_CASE("arrival: a discard of an arriving page wins") {
    shard_world w(slow_world());
    w.controls[0]->hold = true;
    arriving a(w, {{0}, 8}, {.cold = true});
    w.steps(3);
    w.discard({{2}, 3});
    w.controls[0]->hold = false;
    REQUIRE(a.wait().ok());
    CHECK(w.state({2}) == page_state::untouched);
    CHECK(w.state({5}) == page_state::swapped);
    CHECK(w.controls[0]->stored_pages == 5);
    w.check();
    w.verify_all();
}

TEST_CASE("arrival: an arriving page is refused to a second command") {
    shard_world w(slow_world());
    w.controls[0]->hold = true;
    arriving a(w, {{0}, 8}, {.cold = true});
    w.steps(3);
    arriving b(w, {{7}, 8}, {.versions = std::vector<unsigned>(8, 2)});
    CHECK(b.wait().code() == errc::busy);
    b.never_came();
    w.controls[0]->hold = false;
    REQUIRE(a.wait().ok());
    w.truth({{0}, 8}, 1);
    w.verify_all();
}

TEST_CASE("arrival: a store of discarded contents does not become what arrives later") {
    shard_world w(slow_world());
    w.controls[0]->hold = true;
    arriving first(w, {{40}, 1}, {.cold = true, .versions = {1}});
    w.steps(3);
    REQUIRE(is(w, {40}, page_flag::arriving));
    w.discard({{40}, 1});
    REQUIRE_FALSE(is(w, {40}, page_flag::arriving));
    arriving second(w, {{0}, 64}, {.versions = std::vector<unsigned>(64, 2)});
    for (unsigned i = 0; i < 5 && !is(w, {40}, page_flag::arriving); ++i)
        w.step();
    REQUIRE(is(w, {40}, page_flag::arriving));
    w.controls[0]->hold = false;
    REQUIRE(first.wait().ok());
    w.truth({{40}, 1}, 2);
    REQUIRE(second.wait().ok());
    w.truth({{40}, 1}, 2);
    w.check();
    w.verify_all();
}

TEST_CASE("arrival: what every tier turns down is resident") {
    for (const world_options& o : all_worlds) {
        shard_world w(o);
        w.controls[0]->refuse_stores = true;
        arriving a(w, {{0}, 64}, {.cold = true});
        REQUIRE(a.wait().ok());
        CHECK(counts(w).resident_pages.load() == 64);
        w.check();
        w.verify_all();
    }
}

TEST_CASE("arrival: a tier that fails or fills up is passed over") {
    world_options o = slow_world();
    o.tiers = {{false, false}, {false, false}};
    shard_world w(o);
    w.controls[0]->capacity_pages = 10;
    arriving a(w, {{0}, 64}, {.cold = true});
    REQUIRE(a.wait().ok());
    w.controls[1]->fail_stores = true;
    arriving b(w, {{64}, 64}, {.cold = true});
    REQUIRE(b.wait().ok());
    CHECK(w.engine->tiers().counters(1).pages.load() == 10);
    CHECK(w.engine->tiers().counters(2).pages.load() == 54);
    CHECK(counts(w).resident_pages.load() == 64);
    w.check();
    w.verify_all();
}

TEST_CASE("arrival: where neither memory nor a tier has room it fails, and nothing waits") {
    world_options o = slow_world();
    o.room = 100;
    o.tiers = {};
    o.when_full = on_swap_full::wait;
    shard_world w(o);
    bool failed = false;
    for (unsigned first = 0; first < 192 && !failed; first += 64) {
        arriving a(w, {{first}, 64});
        failed = !a.wait().ok();
        if (failed) {
            CHECK(a.outcome().code() == errc::full);
            a.came_in_part();
        }
    }
    REQUIRE(failed);
    for (page_index page{0}; page.value < 256; page = page + 1)
        CHECK_FALSE(is(w, page, page_flag::arriving));
    w.check();
    w.set_room(400);
    w.verify_all();
}

TEST_CASE("arrival: an unread event holds it up, and no longer than that") {
    shard_world w(slow_world());
    w.begin_discard({{100}, 4});
    arriving a(w, {{0}, 8});
    w.step();
    w.step();
    REQUIRE(a.wait().ok());
    w.finish();
    w.check();
    w.verify_all();
}

TEST_CASE("arrival: a page the kernel is still discarding is not taken for what arrived") {
    // fault_before_remove: the event was read, the thread has not discarded the page yet.
    shard_world w(slow_world());
    write(w, {{0}, 1});
    w.begin_discard({{0}, 1});
    w.step();
    REQUIRE(w.state({0}) == page_state::untouched);
    REQUIRE(w.os.mapped({0}));
    w.progress_discard(); // awake, the page is still there
    arriving a(w, {{0}, 1}, {.versions = {7}});
    w.step();
    CHECK(w.state({0}) == page_state::untouched);
    w.progress_discard(); // now it goes
    REQUIRE(a.wait().ok());
    w.truth({{0}, 1}, 7);
    w.check();
    w.verify_all();
}

TEST_CASE("arrival: a fault on an expected page is told of, and waits for its contents") {
    for (const world_options& o : {slow_world(), shared(fast_world())}) {
        shard_world w(o);
        REQUIRE(w.run_command(kind::expect, {{0}, 256}).ok());
        w.truth({{70}, 1}, 1);
        w.start_access(0, {70}, false);
        w.steps(10);
        CHECK(w.blocked(0));
        CHECK(w.engine->take_awaited() == page_index{70});
        arriving a(w, {{64}, 64}, {.expected = true});
        REQUIRE(a.wait().ok());
        w.wait_for_vcpu(0);
        for (const unsigned first : {0u, 128u, 192u}) {
            arriving rest(w, {{first}, 64}, {.zero = first == 128, .expected = true});
            REQUIRE(rest.wait().ok());
        }
        w.check();
        w.verify_all();
    }
}

TEST_CASE("arrival: expected contents do not come back over a discard or what followed it") {
    shard_world w(slow_world());
    REQUIRE(w.run_command(kind::expect, {{0}, 256}).ok());
    w.discard({{10}, 4});
    w.touch({11}, true);
    for (unsigned first = 0; first < 256; first += 64) {
        arriving a(w, {{first}, 64}, {.expected = true, .versions = std::vector<unsigned>(64, 2)});
        REQUIRE(a.wait().ok());
    }
    w.truth({{10}, 4}, 0);
    w.truth({{11}, 1}, 1);
    w.check();
    w.verify_all();
}

TEST_CASE("arrival: a region that was used, and holds nothing any more, can be expected again") {
    shard_world w(slow_world());
    write(w, {{100}, 3});
    CHECK(w.run_command(kind::expect, {{0}, 256}).code() == errc::wrong_state);
    w.discard({{0}, 256});
    for (const bool again : {false, true}) {
        INFO(again);
        REQUIRE(w.run_command(kind::expect, {{0}, 256}).ok());
        for (page_index page{0}; page.value < 256; page = page + 1)
            REQUIRE(is(w, page, page_flag::arriving));
        w.discard({{0}, 256});
        w.truth({{0}, 256}, 0);
    }
    w.check();
    w.verify_all();
}

TEST_CASE("arrival: a page whose contents are lost is poisoned, and who waits for it is woken") {
    shard_world w(slow_world());
    REQUIRE(w.run_command(kind::expect, {{0}, 64}).ok());
    w.controls[0]->reported_lost.insert(3);
    w.start_access(0, {3}, false);
    w.steps(3);
    REQUIRE(w.blocked(0));
    arriving a(w, {{0}, 64}, {.expected = true, .lost = 1u << 3});
    REQUIRE(a.wait().ok());
    w.wait_for_vcpu(0);
    CHECK(w.machine_checks() == 1);
    CHECK(w.state({3}) == page_state::poisoned);
    CHECK(w.seen(event::kind::page_poisoned));
    CHECK(counts(w).poisoned_pages.load() == 1);
    w.check();
    w.verify_all();
}

TEST_CASE("arrival: a region that holds something is not expected, and stays as it is") {
    shard_world w(slow_world());
    write(w, {{200}, 1});
    CHECK(w.run_command(kind::expect, {{0}, 256}).code() == errc::wrong_state);
    for (page_index page{0}; page.value < 256; page = page + 1)
        CHECK_FALSE(is(w, page, page_flag::arriving));
    w.verify_all();
}
