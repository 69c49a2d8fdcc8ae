// SPDX-License-Identifier: BSD-3-Clause

/// What a peek promises: the page's contents of one moment, whatever becomes of it, and nothing
/// changed. Each race on the fake kernel, one at a time.

#include <memory>

#include "engine/peek_world.hpp"

using namespace uffdmm;
using namespace uffdmm::test;
using kind = command::kind;

namespace {

/// What a world must look the same in before and after a peek.
struct picture {
    std::vector<page_state> states;
    std::uint64_t faults, refaults, evicted, prefetched, tier_reads, resident;
    bool operator==(const picture&) const = default;
};
picture picture_of(const shard_world& w) {
    picture p{};
    for (page_index page{0}; page.value < w.options.pages; page = page + 1)
        p.states.push_back(w.state(page));
    p.faults = counts(w).faults.load();
    p.refaults = counts(w).refaults.load();
    p.evicted = counts(w).evicted_pages.load();
    p.prefetched = counts(w).prefetched_pages.load();
    p.tier_reads = w.engine->tiers().counters(1).reads.load();
    p.resident = counts(w).resident_pages.load();
    return p;
}

} // namespace

TEST_CASE("peek: tells every kind of page, and the contents of those out of the guest") {
    for (const world_options& o :
         {slow_world(), fast_world(), shared(slow_world()), shared(fast_world())}) {
        shard_world w(o);
        write(w, {{0}, 60});
        force_out(w, {{0}, 20});
        w.controls[0]->refuse_stores = true;
        REQUIRE(w.run_command(kind::evict, {{20}, 10}).ok());
        REQUIRE(w.state({20}) == page_state::staged);
        make_same_filled(w, {64});
        const picture before = picture_of(w);

        peeked p(w, {{0}, 256});
        p.wait();
        for (page_index page{0}; page.value < 256; page = page + 1) {
            const page_record& r = p.record(page);
            INFO("page " << page.value);
            if (page.value < 30) {
                CHECK(r.kind == page_kind::swapped);
                CHECK(p.holds(page, 1));
                CHECK(r.tier == (page.value < 20 ? 1 : 0));
            } else if (page.value < 60) {
                CHECK(r.kind == page_kind::resident);
            } else if (page.value == 64) {
                CHECK(r.kind == page_kind::same_filled);
                CHECK(r.pattern == 0x5c5c5c5c5c5c5c5cu);
            } else {
                CHECK(r.kind == page_kind::untouched);
            }
        }
        CHECK(picture_of(w) == before);
        CHECK(counts(w).migration_reads.load() == 30);
        read(w, {{0}, 256});
    }
}

TEST_CASE("peek: without a buffer reads nothing") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 100});
    const auto loads = w.controls[0]->loads;
    peeked p(w, {{0}, 256}, peeked::without_contents);
    p.wait();
    CHECK(p.record({99}).kind == page_kind::swapped);
    CHECK(p.record({99}).tier == 1);
    CHECK(w.controls[0]->loads == loads);
    CHECK(counts(w).migration_reads.load() == 0);
}

TEST_CASE("peek: a page faulted in and written while it is read keeps the contents of its moment") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 8});
    w.controls[0]->hold = true;
    peeked p(w, {{0}, 8});
    w.step();
    REQUIRE(w.engine->in_flight() == 8);
    w.start_access(0, {3}, true); // its read waits behind the peek's
    w.start_access(1, {4}, false);
    w.steps(3);
    w.controls[0]->hold = false;
    w.wait_for_vcpu(0);
    w.wait_for_vcpu(1);
    p.wait();
    for (page_index page{0}; page.value < 8; page = page + 1)
        CHECK(p.holds(page, 1));
    w.check();
    read(w, {{0}, 8});
}

TEST_CASE("peek: a slot that is freed while it is read is freed after the read") {
    // The fake tier aborts if a slot is freed while it is read.
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 8});
    w.controls[0]->hold = true;
    peeked p(w, {{0}, 8});
    w.step();
    w.discard({{0}, 4});
    CHECK(w.controls[0]->stored_pages == 8);
    CHECK(w.state({0}) == page_state::untouched);
    w.controls[0]->hold = false;
    p.wait();
    for (page_index page{0}; page.value < 8; page = page + 1)
        CHECK(p.holds(page, 1));
    CHECK(w.controls[0]->stored_pages == 4);
    w.check();
    read(w, {{0}, 8});
}

TEST_CASE("peek: a page that is discarded while a fault and a peek read it leaves no slot behind") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 2});
    w.controls[0]->hold = true;
    w.start_access(0, {0}, false);
    w.step();
    REQUIRE(is(w, {0}, page_flag::loading));
    peeked p(w, {{0}, 2});
    w.step();
    w.begin_discard({{0}, 2});
    w.steps(2);
    w.progress_discard();
    w.progress_discard();
    w.controls[0]->hold = false;
    w.controls[0]->latest_first = true;
    p.wait();
    w.finish();
    CHECK(p.holds({0}, 1));
    CHECK(w.controls[0]->stored_pages == 0);
    w.check();
}

TEST_CASE("peek: a page evicted while its command waits was resident in its moment") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 1});
    write(w, {{1}, 1});
    w.controls[0]->hold = true;
    peeked p(w, {{0}, 2}, peeked::watched);
    w.step();
    CHECK(p.changed() == 0);
    command evict(kind::evict, {{1}, 1}, w.engine->commands());
    w.post(evict);
    w.steps(4);
    w.controls[0]->hold = false;
    p.wait();
    CHECK(p.record({1}).kind == page_kind::resident);
    CHECK(p.changed() == 0b10);
    w.steps(20);
    REQUIRE(evict.wait().ok());
    peeked again(w, {{0}, 2}, peeked::watched);
    again.wait();
    CHECK(again.changed() == 0);
    CHECK(again.record({1}).kind == page_kind::swapped);
    CHECK(again.holds({1}, 1));
}

TEST_CASE("peek: a page demoted while its command waits is read from where it was or is") {
    world_options o = fast_world();
    o.tiers = {{true, true}, {false, false}};
    o.first_capacity = SIZE_MAX;
    shard_world w(o);
    write_and_force_out(w, {{0}, 64});
    // Room for a few more than half of them: the coldest go down while the peek is under way.
    peeked p(w, {{0}, 64});
    w.step(); // sixteen are read
    w.controls[0]->capacity_pages = 40;
    p.wait();
    w.steps(200);
    REQUIRE(w.engine->tiers().counters(1).demoted.load() > 16);
    for (page_index page{0}; page.value < 64; page = page + 1)
        CHECK(p.holds(page, 1));
    peeked again(w, {{0}, 64});
    w.step();
    again.wait();
    for (page_index page{0}; page.value < 64; page = page + 1)
        CHECK(again.holds(page, 1));
    w.check();
}

TEST_CASE("peek: a tier that cannot read is told of, and the page is unharmed") {
    for (const world_options& o : {slow_world(), fast_world()}) {
        shard_world w(o);
        write_and_force_out(w, {{0}, 8});
        w.controls[0]->fail_loads = true;
        peeked failing(w, {{0}, 8});
        failing.wait();
        for (page_index page{0}; page.value < 8; page = page + 1) {
            CHECK(failing.record(page).kind == page_kind::unreadable);
            CHECK(failing.record(page).cause == errc::io_error);
            CHECK(failing.record(page).tier == 1);
        }
        w.controls[0]->fail_loads = false;
        w.controls[0]->corrupt_next_load = true;
        peeked corrupt(w, {{0}, 1});
        corrupt.wait();
        CHECK(corrupt.record({0}).kind == page_kind::unreadable);
        CHECK(corrupt.record({0}).cause == errc::corrupt);
        CHECK(counts(w).poisoned_pages.load() == 0);
        CHECK(counts(w).migration_reads.load() == 0);
        CHECK(w.engine->tiers().counters(1).read_errors.load() == 8);
        CHECK(w.engine->tiers().counters(1).corrupt.load() == 1);
        peeked fine(w, {{0}, 8});
        fine.wait();
        CHECK(fine.holds({0}, 1));
        w.check();
        read(w, {{0}, 8});
        CHECK(w.machine_checks() == 0);
    }
}

TEST_CASE("peek: a page whose contents are to come is not told as untouched") {
    shard_world w(slow_world());
    REQUIRE(w.run_command(command::kind::expect, {{0}, 256}).ok());
    peeked p(w, {{0}, 8});
    p.wait();
    CHECK(p.record({0}).kind == page_kind::unreadable);
    CHECK(p.record({0}).cause == errc::busy);
    REQUIRE(w.run_command(command::kind::unexpect, {{0}, 256}).ok());
    peeked after(w, {{0}, 8});
    after.wait();
    CHECK(after.record({0}).kind == page_kind::untouched);
}

TEST_CASE("peek: poisoned pages are lost") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 2});
    w.controls[0]->corrupt_next_load = true;
    w.touch({0}, false);
    REQUIRE(w.state({0}) == page_state::poisoned);
    peeked p(w, {{0}, 2});
    p.wait();
    CHECK(p.record({0}).kind == page_kind::lost);
    CHECK(p.record({1}).kind == page_kind::swapped);
    CHECK(p.holds({1}, 1));
}

TEST_CASE("peek: a step reads few pages, so that faults are answered in between") {
    shard_world w(fast_world());
    write_and_force_out(w, {{0}, 200});
    const auto loads = w.controls[0]->loads;
    peeked p(w, {{0}, 200});
    w.step();
    CHECK(w.controls[0]->loads - loads == 16);
    w.start_access(0, {150}, true);
    w.step();
    CHECK_FALSE(w.blocked(0));
    p.wait();
    CHECK(p.record({150}).kind == page_kind::resident);
    CHECK(p.holds({0}, 1));
    CHECK(p.holds({199}, 1));
}

TEST_CASE("peek: at most 64 reads of a slow tier are under way") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 200});
    w.controls[0]->hold = true;
    peeked p(w, {{0}, 200});
    w.steps(20);
    CHECK(w.controls[0]->pending == 64);
    w.controls[0]->hold = false;
    p.wait();
    for (page_index page{0}; page.value < 200; page = page + 1)
        CHECK(p.holds(page, 1));
}

TEST_CASE("peek: few reads of a slow tier are under way while faults wait for it") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 200});
    w.controls[0]->hold = true;
    w.start_access(0, {150}, false);
    w.steps(3);
    REQUIRE(w.controls[0]->pending == 1);
    peeked p(w, {{0}, 200});
    w.steps(5); // 0.2 ms each
    CHECK(w.controls[0]->pending == 1 + 8);
    w.os.clock_ns += 3'000'000; // the guest has stopped faulting
    w.steps(20);
    CHECK(w.controls[0]->pending == 1 + 64);
    w.controls[0]->hold = false;
    p.wait();
    w.wait_for_vcpu(0);
    for (page_index page{0}; page.value < 200; page = page + 1)
        if (page != page_index{150}) // it was swapped or resident in its moment
            CHECK(p.holds(page, 1));
    w.verify_all();
}

TEST_CASE("watch: a page is marked before the guest can write to it") {
    for (const world_options& o : {slow_world(), fast_world(), shared(fast_world())}) {
        shard_world w(o);
        write_and_force_out(w, {{0}, 4});
        w.controls[0]->refuse_stores = true;
        write(w, {{4}, 1});
        REQUIRE(w.run_command(kind::evict, {{4}, 1}).ok());
        REQUIRE(w.state({4}) == page_state::staged);
        peeked p(w, {{0}, 8}, peeked::watched);
        p.wait();
        REQUIRE(p.changed() == 0);
        std::uint64_t late = 0;
        w.os.inject = [&](fake_kernel::op what, page_index page) {
            using op = fake_kernel::op;
            if (what == op::copy_in || what == op::move_in || what == op::zero_in)
                late |= p.changed() >> page.value & 1 ? 0 : 1;
            return fake_kernel::injected{};
        };
        for (const unsigned page : {0u, 2u, 4u, 6u})
            w.touch({page}, page != 2);
        CHECK(late == 0);
        CHECK(p.changed() == 0b1010101);
        w.os.inject = nullptr;
    }
}

TEST_CASE("watch: discards and lost contents are marked") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 4});
    peeked p(w, {{0}, 4}, peeked::watched);
    p.wait();
    w.discard({{0}, 1});
    w.controls[0]->corrupt_next_load = true;
    w.touch({1}, false);
    REQUIRE(w.state({1}) == page_state::poisoned);
    CHECK(p.changed() == 0b11);
}

TEST_CASE("watch: what was said is no longer vouched for when the window moves on or ends") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 8});
    peeked p(w, {{0}, 4}, peeked::watched);
    p.wait();
    w.touch({6}, true);
    CHECK(p.changed() == 0);
    REQUIRE(w.run_command(kind::unwatch, {}).ok());
    CHECK(p.changed() == ~std::uint64_t{0});
}

TEST_CASE("watch: two windows are vouched for, each for itself") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 16});
    peeked here(w, {{0}, 8}, peeked::watched, 0);
    here.wait();
    peeked ahead(w, {{8}, 8}, peeked::watched, 1);
    ahead.wait();
    w.touch({2}, true);
    w.touch({9}, true);
    CHECK(here.changed() == 0b100);
    CHECK(ahead.changed() == 0b10);
    peeked next(w, {{4}, 2}, peeked::watched, 0);
    next.wait();
    w.touch({3}, true);
    CHECK(next.changed() == 0);
    CHECK(ahead.changed() == 0b10);
}

TEST_CASE("watch: a look that is not watched vouches for nothing") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 8});
    peeked p(w, {{0}, 8}, peeked::watched);
    p.wait();
    w.touch({2}, true);
    peeked alone(w, {{2}, 1});
    alone.wait();
    CHECK(p.changed() == 0b100);
}

TEST_CASE("watch: reclaim takes other pages first") {
    world_options o = fast_world();
    o.room = 200;
    shard_world w(o);
    write(w, {{0}, 64}); // the oldest
    peeked p(w, {{0}, 64}, peeked::watched);
    p.wait();
    write(w, {{64}, 190});
    w.steps(100);
    REQUIRE(counts(w).evicted_pages.load() != 0);
    CHECK(p.changed() == 0);
    REQUIRE(w.run_command(kind::unwatch, {}).ok());
    read(w, {{64}, 190});
    read(w, {{64}, 190});
    peeked after(w, {{0}, 64}, peeked::without_contents);
    after.wait();
    CHECK(after.count(page_kind::swapped) != 0);
}

TEST_CASE("watch: where there is nothing else to take, watched pages leave") {
    world_options o = fast_world();
    o.pages = 64;
    o.room = 90;
    shard_world w(o);
    write(w, {{0}, 64});
    peeked p(w, {{0}, 64}, peeked::watched);
    p.wait();
    w.set_room(40);
    w.steps(500);
    w.check();
    CHECK(counts(w).resident_pages.load() < 40);
    CHECK_FALSE(w.seen(event::kind::over_limit));
    CHECK(p.changed() != 0);
}
