// SPDX-License-Identifier: BSD-3-Clause

/// What bit systems before this one, on the fake kernel. Each test is named after its hazard.

#include "engine/small_world.hpp"

using namespace uffdmm;
using namespace uffdmm::test;
using kind = command::kind;

// ---- events and races ---------------------------------------------------------------------------

TEST_CASE("fault_before_remove: stale contents do not reappear in a discarded page") {
    shard_world w(fast_world());
    write_and_force_out(w, {{7}, 1});
    w.start_access(0, {7}, false); // its message is read before the event
    w.begin_discard({{7}, 1});
    w.finish();
    w.touch({7}, false); // compares with zeros
    CHECK(resolved(w, resolution::memory_tier) == 0);
}

TEST_CASE("fault_before_remove: a page discarded while it is read comes back as zeros") {
    shard_world w(slow_world());
    write_and_force_out(w, {{7}, 1});
    w.controls[0]->hold = true;
    w.start_access(0, {7}, false);
    w.steps(3);
    REQUIRE(is(w, {7}, page_flag::loading));
    w.begin_discard({{7}, 1});
    w.finish();
    w.controls[0]->hold = false;
    w.steps(10);
    w.touch({7}, false);
    CHECK(w.controls[0]->stored_pages == 0);
}

TEST_CASE("fault_before_remove: prefetch does not install a page that is being discarded") {
    world_options o = slow_world();
    shard_world w(o);
    write_and_force_out(w, {{0}, 32});
    w.controls[0]->hold = true;
    REQUIRE(w.run_command(kind::prefetch, {{0}, 32}).ok());
    w.begin_discard({{0}, 32});
    w.finish();
    w.controls[0]->hold = false;
    w.steps(20);
    for (page_index page{0}; page.value < 32; page = page + 1)
        REQUIRE_FALSE(w.os.mapped(page));
    read(w, {{0}, 32});
}

TEST_CASE("fault_before_remove: a page that is about to go is not evicted with its contents") {
    shard_world w(fast_world());
    write(w, {{7}, 1});
    w.begin_discard({{7}, 1});
    w.step();             // the page is forgotten ...
    w.progress_discard(); // ... and still mapped, with its old contents
    w.os.send({kernel_message::kind::missing, false, {{7}, 1}, 0});
    w.step();
    w.os.clock_ns += 1'000'000;
    command evict(kind::evict, {{7}, 1}, w.engine->commands());
    w.post(evict);
    (void)w.engine->step();
    (void)w.engine->step();
    w.finish(); // now it goes
    w.steps(20);
    w.touch({7}, false); // compares with zeros
    w.check();
}

TEST_CASE("remove_pending_makes_eagain: the fault is parked and answered when the event was read") {
    shard_world w(fast_world());
    w.begin_discard({{100}, 1});
    w.step(); // reads the event; the discarding thread is not awake yet
    w.start_access(0, {3}, true);
    w.steps(5);
    CHECK(w.blocked(0));
    CHECK(w.engine->parked());
    CHECK(w.engine->counters().eagain_retries.load() >= 1);
    w.finish();
    CHECK_FALSE(w.blocked(0));
    CHECK_FALSE(w.engine->parked());
}

TEST_CASE("remove_pending_makes_eagain: a shard with a read to install does not sleep") {
    shard_world w(slow_world());
    write_and_force_out(w, {{7}, 1});
    w.controls[0]->hold = true;
    w.start_access(0, {7}, false);
    w.steps(3);
    w.begin_discard({{100}, 1});
    w.steps(3);
    w.controls[0]->hold = false; // the read ends while nothing can be installed
    w.steps(3);
    REQUIRE(w.blocked(0));
    CHECK(w.engine->parked());
    CHECK(w.engine->step() == wait_hint::poll);
    w.finish();
}

TEST_CASE("remove_pending_makes_eagain: eviction stops and goes on later") {
    shard_world w(fast_world());
    write(w, {{0}, 64});
    fail_once(w, fake_kernel::op::take_out, kernel_status::again, 10);
    REQUIRE(w.run_command(kind::evict, {{0}, 64}).ok());
    for (page_index page{0}; page.value < 64; page = page + 1)
        REQUIRE(w.state(page) == page_state::swapped);
}

TEST_CASE("eexist_means_race: the waiter is woken explicitly and the race counted") {
    shard_world w(fast_world());
    w.start_access(0, {3}, false);
    REQUIRE(w.os.zero_in({3}, 1).done == 1); // somebody else was faster ...
    w.os.vcpus[0].blocked = true;            // ... and woke nobody
    w.step();
    CHECK_FALSE(w.blocked(0));
    CHECK(w.engine->counters().eexist_races.load() == 1);
    w.check();
}

TEST_CASE("lost_wake: a reader and a writer of one page are both woken") {
    shard_world w(slow_world());
    write_and_force_out(w, {{7}, 1});
    w.start_access(0, {7}, false);
    w.start_access(1, {7}, true);
    w.finish();
    CHECK_FALSE(w.blocked(0));
    CHECK_FALSE(w.blocked(1));
    w.touch({7}, false);
}

TEST_CASE(
    "lost_wake: a write-protect fault on a page that has left is answered like a missing one") {
    shard_world w(slow_world());
    write_and_force_out(w, {{7}, 1});
    read(w, {{7}, 1});
    REQUIRE(is(w, {7}, page_flag::write_protected));
    force_out(w, {{7}, 1}); // before the writer comes, as seen by the shard
    w.os.send({kernel_message::kind::protect, true, {{7}, 1}, 0});
    w.os.vcpus[0].blocked = true;
    w.os.vcpus[0].page = {7};
    w.os.vcpus[0].protect_wait = true;
    w.steps(5);
    CHECK_FALSE(w.os.vcpus[0].blocked);
    w.touch({7}, true);
    w.touch({7}, false);
}

TEST_CASE("lost_wake: a second missing fault on a page that came in meanwhile is woken") {
    shard_world w(fast_world());
    w.touch({3}, true);
    w.os.vcpus[0].blocked = true;
    w.os.vcpus[0].page = {3};
    w.os.send({kernel_message::kind::missing, true, {{3}, 1}, 0});
    w.step();
    CHECK_FALSE(w.os.vcpus[0].blocked);
    CHECK(resolved(w, resolution::present) == 1);
    w.touch({3}, false);
}

TEST_CASE("slow_tier_blocks_fast_fault: other faults are served while a read is under way") {
    shard_world w(slow_world());
    write_and_force_out(w, {{7}, 1});
    w.controls[0]->hold = true;
    w.start_access(0, {7}, false);
    w.step();
    w.start_access(1, {50}, true);
    w.step();
    CHECK(w.blocked(0));
    CHECK_FALSE(w.blocked(1));
    w.controls[0]->hold = false;
    w.finish();
}

TEST_CASE("kvm_async_pf_asks_for_write: reads that look like writes lose nothing") {
    shard_world w(slow_world());
    w.os.asks_for_write = true;
    write_and_force_out(w, {{0}, 8});
    read(w, {{0}, 8});
    force_out(w, {{0}, 8});
    read(w, {{0}, 8});
}

TEST_CASE("kvm_async_pf_asks_for_write: an untouched page only read is dropped as zeros") {
    shard_world w(slow_world());
    w.os.asks_for_write = true;
    read(w, {{0}, 8});
    REQUIRE(w.run_command(kind::evict, {{0}, 8}).ok());
    CHECK(w.engine->counters().dropped_zero.load() == 8);
    CHECK(w.controls[0]->stored_pages == 0);
}

TEST_CASE("marker_loss: a clean page that lost its mapping is armed again") {
    shard_world w(shared(slow_world()));
    write_and_force_out(w, {{7}, 1});
    read(w, {{7}, 1});
    REQUIRE(w.os.is_protected({7}));
    w.unmap({7});
    read(w, {{7}, 1});
    CHECK(w.os.is_protected({7}));
    CHECK(resolved(w, resolution::minor) == 1);
}

TEST_CASE("marker_loss: a write after it makes the slot stale") {
    shard_world w(shared(slow_world()));
    write_and_force_out(w, {{7}, 1});
    read(w, {{7}, 1});
    w.unmap({7});
    write(w, {{7}, 1});
    CHECK_FALSE(is(w, {7}, page_flag::has_slot));
    force_out(w, {{7}, 1});
    read(w, {{7}, 1});
}

TEST_CASE("remove_after_unregister: an event for what is not ours is nothing") {
    shard_world w(fast_world());
    write(w, {{0}, 4});
    w.os.send({kernel_message::kind::remove, false, {}, 0});
    w.os.send({kernel_message::kind::unmap, false, {}, 0});
    w.os.send({kernel_message::kind::other, false, {}, 0});
    w.steps(3);
    w.check();
    read(w, {{0}, 4});
    CHECK(w.engine->counters().unexpected_messages.load() == 1);
}

TEST_CASE("remove_after_unregister: eviction skips pages whose mapping is gone") {
    world_options o = fast_world();
    shard_world w(o);
    write(w, {{0}, 64});
    w.os.inject = [](fake_kernel::op op, page_index) {
        return op == fake_kernel::op::take_out ? fake_kernel::injected{0, kernel_status::gone}
                                               : fake_kernel::injected{};
    };
    REQUIRE(w.run_command(kind::evict, {{0}, 64}).ok());
    CHECK_FALSE(w.engine->parked()); // would keep a CPU busy for ever
    w.check();
}

// ---- pages that others hold ---------------------------------------------------------------------

TEST_CASE("pinned_pages: a page busy in the kernel stays, its neighbours leave") {
    shard_world w(fast_world());
    write(w, {{0}, 64});
    w.os.inject = [](fake_kernel::op op, page_index page) {
        if (op != fake_kernel::op::take_out || page.value > 20)
            return fake_kernel::injected{};
        return fake_kernel::injected{20 - page.value, kernel_status::busy};
    };
    REQUIRE(w.run_command(kind::evict, {{0}, 64}).ok());
    for (page_index page{0}; page.value < 64; page = page + 1)
        CHECK(w.state(page) == (page.value == 20 ? page_state::resident : page_state::swapped));
    CHECK(w.engine->counters().busy_pages.load() == 1);
    w.os.inject = nullptr;
    force_out(w, {{20}, 1});
    read(w, {{0}, 64});
}

TEST_CASE("pinned_pages: many of them are no reason to exceed the limit") {
    world_options o = fast_world();
    o.pages = 4096;
    o.room = 2048;
    shard_world w(o);
    REQUIRE(w.run_command(kind::pin, {{0}, 1500}).ok());
    write(w, {{2000}, 1000});
    CHECK_FALSE(w.seen(event::kind::over_limit));
    w.check();
    read(w, {{2000}, 1000});
    REQUIRE(w.run_command(kind::unpin, {{0}, 1500}).ok());
}

TEST_CASE("pinned_pages: when the kernel lets no page go, faults are served beyond the limit") {
    world_options o = slow_world();
    o.pages = 2048;
    o.room = 512;
    o.policy = "s3fifo";
    shard_world w(o);
    w.os.inject = [](fake_kernel::op op, page_index) {
        return op == fake_kernel::op::take_out ? fake_kernel::injected{0, kernel_status::busy}
                                               : fake_kernel::injected{};
    };
    write(w, {{0}, 600});
    CHECK(w.seen(event::kind::over_limit));
    CHECK(w.engine->counters().resident_pages.load() >= 600);
    w.os.inject = nullptr;
    write(w, {{600}, 600});
    w.steps(5000);
    CHECK(w.money.free() >= 0);
    read(w, {{0}, 1200});
}

TEST_CASE("second_mapping: a hole read through another mapping does not hide swapped contents") {
    shard_world w(shared(slow_world()));
    write_and_force_out(w, {{0}, 4});
    for (page_index page{0}; page.value < 4; page = page + 1)
        w.touch_through_alias(page);
    read(w, {{0}, 4});
    CHECK(w.engine->counters().foreign_pages.load() == 4);
}

TEST_CASE("second_mapping: a hole read while the page is on its way in does not hide it") {
    shard_world w(shared(slow_world()));
    write_and_force_out(w, {{0}, 1});
    w.controls[0]->hold = true;
    w.start_access(0, {0}, false);
    w.steps(3);
    w.touch_through_alias({0});
    w.controls[0]->hold = false;
    w.finish();
    CHECK(w.engine->counters().foreign_pages.load() == 1);
}

TEST_CASE("second_mapping: what it wrote to an untouched page survives eviction around it") {
    shard_world w(shared(slow_world()));
    write(w, {{0}, 3});
    write(w, {{4}, 3});
    w.touch_through_alias({3}); // writes, as nobody holds contents there
    REQUIRE(w.run_command(kind::evict, {{0}, 7}).ok());
    read(w, {{0}, 7});
    CHECK(resolved(w, resolution::minor) == 1);
}

// ---- storage ------------------------------------------------------------------------------------

TEST_CASE("swap_full: the guest does not notice, the operator is told") {
    world_options o = fast_world();
    o.room = 160;
    o.first_capacity = 10;
    shard_world w(o);
    write(w, {{0}, 256});
    CHECK(w.seen(event::kind::over_limit));
    CHECK(w.seen(event::kind::tier_degraded));
    read(w, {{0}, 256});
}

TEST_CASE("swap_full: a guest that is to wait goes on when a tier has room") {
    world_options o = slow_world();
    o.room = 160;
    o.first_capacity = 10;
    o.when_full = on_swap_full::wait;
    shard_world w(o);
    page_index page{0};
    for (; page.value < 256; page = page + 1) {
        w.start_access(0, page, true);
        w.steps(200);
        if (w.blocked(0))
            break;
    }
    REQUIRE(page.value < 256);
    w.check();
    CHECK_FALSE(w.seen(event::kind::over_limit));
    w.controls[0]->capacity_pages = SIZE_MAX;
    w.finish();
    CHECK(w.seen(event::kind::tier_recovered));
    read(w, {{0}, page.value + 1});
}

TEST_CASE("swap_full: a raised limit lets a waiting guest go on") {
    world_options o = slow_world();
    o.room = 160;
    o.first_capacity = 0;
    o.when_full = on_swap_full::wait;
    shard_world w(o);
    for (page_index page{0}; page.value < 256 && !w.blocked(0); page = page + 1) {
        w.start_access(0, page, true);
        w.steps(200);
    }
    REQUIRE(w.blocked(0));
    w.set_room(400);
    w.finish();
    CHECK_FALSE(w.blocked(0));
}

TEST_CASE("disk_full: pages stay where they are, the tier is degraded and recovers") {
    shard_world w(slow_world());
    w.controls[0]->capacity_pages = 4;
    write(w, {{0}, 16});
    REQUIRE(w.run_command(kind::evict, {{0}, 16}).ok());
    read(w, {{0}, 16});
    REQUIRE(w.seen(event::kind::tier_degraded));
    CHECK(w.events.front().cause == errc::full);
    w.controls[0]->capacity_pages = SIZE_MAX;
    w.os.clock_ns += 2'000'000'000;
    force_out(w, {{0}, 16});
    CHECK(w.seen(event::kind::tier_recovered));
}

TEST_CASE("io_error_on_write: pages stay where they are, the tier is degraded and recovers") {
    shard_world w(slow_world());
    w.controls[0]->fail_stores = true;
    write(w, {{0}, 16});
    REQUIRE(w.run_command(kind::evict, {{0}, 16}).ok());
    REQUIRE(w.seen(event::kind::tier_degraded));
    CHECK(w.events.front().cause == errc::io_error);
    CHECK(w.events.front().tier == "fake");
    CHECK(w.engine->tiers().counters(1).write_errors.load() != 0);
    read(w, {{0}, 16});
    w.controls[0]->fail_stores = false;
    w.os.clock_ns += 2'000'000'000;
    force_out(w, {{0}, 16});
    CHECK(w.seen(event::kind::tier_recovered));
}

world_options remote_world() {
    world_options o = slow_world();
    o.tiers = {{false, false, true}, {false, false}};
    return o;
}

TEST_CASE("slow_tier_blocks_fast_fault: a tier that is away leaves reads for the others") {
    world_options o = remote_world();
    o.vcpus = 40;
    shard_world w(o);
    write_and_force_out(w, {{0}, 40});
    w.controls[0]->refuse_stores = true;
    write_and_force_out(w, {{64}, 1}); // to the second tier
    w.controls[0]->away = true;
    for (unsigned vcpu = 0; vcpu < 39; ++vcpu)
        w.start_access(vcpu, {vcpu}, false);
    w.steps(50);
    w.start_access(39, {64}, false);
    w.steps(50);
    CHECK_FALSE(w.blocked(39));
    for (unsigned vcpu = 0; vcpu < 39; ++vcpu)
        CHECK(w.blocked(vcpu));
    w.controls[0]->behave();
    w.finish();
    read(w, {{0}, 40});
}

TEST_CASE("server_away: it is told, faults wait for it, pages go to the next tier meanwhile") {
    shard_world w(remote_world());
    write_and_force_out(w, {{0}, 16});
    w.controls[0]->away = true;
    w.start_access(1, {3}, false);
    w.steps(200);
    CHECK(w.blocked(1));
    REQUIRE(w.seen(event::kind::tier_degraded));
    CHECK(w.engine->tiers().counters(1).degraded.load() == 1);
    write_and_force_out(w, {{64}, 16});
    CHECK(w.controls[1]->stored_pages == 16);
    CHECK_FALSE(w.seen(event::kind::page_poisoned));
    w.controls[0]->away = false;
    w.finish();
    CHECK_FALSE(w.blocked(1));
    CHECK(w.seen(event::kind::tier_recovered));
    CHECK(w.engine->tiers().counters(1).degraded.load() == 0);
    read(w, {{0}, 16});
    read(w, {{64}, 16});
}

TEST_CASE("server_away: nothing is prefetched from it") {
    shard_world w(remote_world());
    write_and_force_out(w, {{0}, 32});
    w.controls[0]->away = true;
    w.steps(2);
    REQUIRE(w.run_command(kind::prefetch, {{0}, 32}).ok());
    w.steps(50);
    CHECK(w.controls[0]->pending == 0);
    w.controls[0]->away = false;
    read(w, {{0}, 32});
}

TEST_CASE("io_error_on_write: the next tier takes the page") {
    world_options o = slow_world();
    o.tiers = {{true, true}, {false, false}};
    shard_world w(o);
    w.controls[0]->fail_stores = true;
    write_and_force_out(w, {{0}, 16});
    CHECK(w.controls[1]->stored_pages == 16);
    read(w, {{0}, 16});
}

TEST_CASE("io_error_on_read: the read is repeated with back-off until it works") {
    shard_world w(slow_world());
    write_and_force_out(w, {{7}, 1});
    w.controls[0]->fail_loads = true;
    w.start_access(0, {7}, false);
    const std::uint64_t start = w.os.clock_ns;
    while (w.os.clock_ns < start + 20'000'000)
        w.step();
    CHECK(w.blocked(0));
    CHECK(w.controls[0]->loads >= 3);
    CHECK(w.controls[0]->loads <= 6); // 1, 2, 4, 8 ms apart
    w.controls[0]->fail_loads = false;
    w.finish();
    CHECK(w.machine_checks() == 0);
}

TEST_CASE("io_error_on_read: after the retry time that page alone is poisoned") {
    for (const world_options& o : {slow_world(), fast_world()}) {
        shard_world w(o);
        write_and_force_out(w, {{0}, 8});
        w.controls[0]->fail_loads = true;
        w.touch({3}, false);
        CHECK(w.machine_checks() == 1);
        CHECK(w.state({3}) == page_state::poisoned);
        REQUIRE(w.seen(event::kind::page_poisoned));
        CHECK(w.events.back().address == w.os.address({3}));
        w.controls[0]->fail_loads = false;
        w.touch({3}, false);
        CHECK(w.machine_checks() == 2);
        read(w, {{0}, 3});
        read(w, {{4}, 4});
        CHECK(w.machine_checks() == 2);
        CHECK(w.engine->counters().poisoned_pages.load() == 1);
    }
}

TEST_CASE("io_error_on_read: a failed prefetch leaves the page in its slot") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 8});
    w.controls[0]->fail_loads = true;
    REQUIRE(w.run_command(kind::prefetch, {{0}, 8}).ok());
    w.steps(20);
    w.controls[0]->fail_loads = false;
    read(w, {{0}, 8});
    CHECK(w.machine_checks() == 0);
}

TEST_CASE("io_error_on_read: a poisoned page that is discarded can be used again") {
    for (const world_options& o : {fast_world(), shared(fast_world())}) {
        shard_world w(o);
        write_and_force_out(w, {{3}, 1});
        w.controls[0]->corrupt_next_load = true;
        w.touch({3}, false);
        REQUIRE(w.state({3}) == page_state::poisoned);
        w.discard({{3}, 1});
        CHECK(w.engine->counters().poisoned_pages.load() == 0);
        write(w, {{3}, 1});
        read(w, {{3}, 1});
        CHECK(w.machine_checks() == 1);
    }
}

TEST_CASE("second_mapping: a hole it read does not keep a discarded page poisoned") {
    shard_world w(shared(fast_world()));
    write_and_force_out(w, {{3}, 1});
    w.touch_through_alias({3});
    w.controls[0]->corrupt_next_load = true;
    w.touch({3}, false);
    REQUIRE(w.state({3}) == page_state::poisoned);
    w.discard({{3}, 1});
    CHECK_FALSE(w.os.poisoned({3}));
    write(w, {{3}, 1});
    CHECK(w.machine_checks() == 1);
}

TEST_CASE("torn_or_stale_slot: a corrupt slot poisons its page at once") {
    for (const world_options& o : {slow_world(), fast_world()}) {
        shard_world w(o);
        write_and_force_out(w, {{0}, 2});
        w.controls[0]->corrupt_next_load = true;
        w.touch({0}, false);
        CHECK(w.machine_checks() == 1);
        CHECK(w.controls[0]->loads == 1);
        CHECK(w.engine->tiers().counters(1).corrupt.load() == 1);
        CHECK(w.controls[0]->stored_pages == 1); // its slot was freed
        w.touch({1}, false);
        CHECK(w.machine_checks() == 1);
    }
}
