// SPDX-License-Identifier: BSD-3-Clause

/// What a shard promises, on the fake kernel, one thing at a time.

#include "engine/small_world.hpp"

using namespace uffdmm;
using namespace uffdmm::test;
using kind = command::kind;

// ---- what a page costs --------------------------------------------------------------------------

TEST_CASE("shard: a clean page leaves memory without being written again") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 8});
    read(w, {{0}, 8});
    force_out(w, {{0}, 8});
    CHECK(counts(w).swapped_out.load() == 8);
    CHECK(counts(w).dropped_clean.load() == 8);
    CHECK(w.engine->tiers().counters(1).writes.load() == 8);
    read(w, {{0}, 8});
}

TEST_CASE("shard: a staged clean page taken back to be read is still clean") {
    shard_world w(slow_world());
    write_and_force_out(w, {{7}, 1});
    read(w, {{7}, 1});
    w.controls[0]->refuse_stores = true; // whatever is written now would stay staged
    force_out(w, {{7}, 1});
    CHECK(counts(w).dropped_clean.load() == 1);
}

TEST_CASE("shard: the first write to a clean page frees its slot") {
    shard_world w(slow_world());
    write_and_force_out(w, {{7}, 1});
    read(w, {{7}, 1});
    REQUIRE(w.controls[0]->stored_pages == 1);
    write(w, {{7}, 1});
    CHECK(resolved(w, resolution::unprotect) == 1);
    CHECK(w.controls[0]->stored_pages == 0);
    force_out(w, {{7}, 1});
    read(w, {{7}, 1});
}

TEST_CASE("shard: a page written soon after it came in is not protected the next time") {
    shard_world w(slow_world());
    write_and_force_out(w, {{7}, 1});
    read(w, {{7}, 1});
    write(w, {{7}, 1});
    REQUIRE(is(w, {7}, page_flag::write_prone));
    force_out(w, {{7}, 1});
    read(w, {{7}, 1});
    CHECK_FALSE(w.os.is_protected({7}));
    write(w, {{7}, 1});
    CHECK(resolved(w, resolution::unprotect) == 1); // no second one
}

TEST_CASE("shard: a page that is no longer written gets its chance again") {
    shard_world w(slow_world());
    write_and_force_out(w, {{7}, 1});
    read(w, {{7}, 1});
    write(w, {{7}, 1});
    for (int i = 0; i < 20 && !w.os.is_protected({7}); ++i) {
        force_out(w, {{7}, 1});
        read(w, {{7}, 1});
    }
    CHECK(w.os.is_protected({7}));
}

TEST_CASE("shard: same-filled pages need no tier") {
    world_options o = fast_world();
    o.tiers = {};
    shard_world w(o);
    for (int i = 0; i < 5; ++i)
        write(w, {{0}, 8}); // the fifth version is filled with one byte
    force_out(w, {{0}, 8});
    CHECK(counts(w).dropped_same_filled.load() == 8);
    read(w, {{0}, 8});
    CHECK(resolved(w, resolution::same_filled) == 8);
    CHECK(counts(w).same_filled_pages.load() == 0);
}

TEST_CASE("shard: several threads that fault on one page cost one installation") {
    world_options o = fast_world();
    o.vcpus = 8;
    shard_world w(o);
    write_and_force_out(w, {{7}, 1});
    const auto faults_before = counts(w).faults.load();
    for (unsigned cpu = 0; cpu < 8; ++cpu)
        w.start_access(cpu, {7}, false);
    w.finish();
    CHECK(counts(w).faults.load() - faults_before == 8);
    CHECK(counts(w).duplicate_faults.load() == 7);
    CHECK(resolved(w, resolution::memory_tier) == 1);
}

// ---- memory -------------------------------------------------------------------------------------

TEST_CASE("shard: a fault that finds no free memory is counted as direct reclaim") {
    world_options o = slow_world();
    o.room = 160;
    shard_world w(o);
    w.controls[0]->hold = true; // nothing gets out
    for (page_index page{0}; page.value < 200 && !w.blocked(0); page = page + 1) {
        w.start_access(0, page, true);
        w.steps(5);
    }
    REQUIRE(w.blocked(0));
    CHECK(counts(w).direct_reclaims.load() == 1); // once, however often it is tried again
    w.controls[0]->hold = false;
    w.finish();
}

TEST_CASE("shard: reclaim runs ahead of need, so faults find free memory") {
    world_options o = slow_world();
    o.pages = 2048;
    o.room = 1024;
    shard_world w(o);
    write(w, {{0}, 2048});
    CHECK(counts(w).evicted_pages.load() != 0);
    CHECK(counts(w).direct_reclaims.load() == 0);
    w.check();
}

TEST_CASE("shard: dead frames are given back before more pages are taken from the guest") {
    // Staged pages that die leave frames behind. They are memory that nobody needs.
    world_options o = fast_world();
    o.room = 200;
    shard_world w(o);
    write(w, {{0}, 150});
    w.controls[0]->refuse_stores = true;
    REQUIRE(w.run_command(kind::evict, {{0}, 60}).ok()); // all stay staged
    w.discard({{0}, 59});                                // all but one die in their cluster
    const auto evicted = counts(w).evicted_pages.load();
    write(w, {{150}, 50});
    w.steps(20);
    CHECK(counts(w).evicted_pages.load() == evicted);
    w.check();
}

TEST_CASE("shard: a page that was just installed is not evicted before its thread came") {
    world_options o = fast_world();
    shard_world w(o);
    write(w, {{0}, 64});
    w.os.clock_ns += 1'000'000;
    w.touch({10}, false);
    w.discard({{20}, 1});
    w.start_access(0, {20}, true);
    (void)w.engine->step(); // installs page 20; its vCPU has not run yet
    REQUIRE(is(w, {20}, page_flag::fresh));
    w.set_room(40); // everything else may go
    for (int i = 0; i < 20; ++i)
        (void)w.engine->step();
    CHECK(w.state({20}) == page_state::resident);
    CHECK(w.state({10}) != page_state::resident);
    w.os.clock_ns += fresh_pages::lifetime_ns;
    for (int i = 0; i < 20; ++i)
        (void)w.engine->step();
    CHECK(w.state({20}) != page_state::resident);
}

TEST_CASE("shard: lowering the limit evicts until memory is below it") {
    world_options o = slow_world();
    o.room = 400;
    shard_world w(o);
    write(w, {{0}, 256});
    w.set_room(120);
    REQUIRE(w.run_command(kind::settle, {}).ok());
    CHECK(w.money.free() >= 0);
    CHECK(w.os.pages_mapped() <= 120);
    w.set_room(400);
    read(w, {{0}, 256});
    w.check();
}

TEST_CASE("shard: a limit that cannot be reached is reported") {
    world_options o = slow_world();
    o.room = 400;
    o.tiers = {};
    shard_world w(o);
    write(w, {{0}, 256});
    w.set_room(120);
    CHECK(w.run_command(kind::settle, {}).code() == errc::limit_too_small);
    w.set_room(400);
    read(w, {{0}, 256});
}

TEST_CASE("shard: pages that no tier wants do not keep others in memory") {
    world_options o = slow_world();
    o.room = 200;
    shard_world w(o);
    write(w, {{0}, 40});
    w.controls[0]->reject_stores = true;
    REQUIRE(w.run_command(kind::evict, {{0}, 40}).ok());
    REQUIRE(counts(w).staged_pages.load() >= 40); // more than the staged share
    w.controls[0]->reject_stores = false;
    write(w, {{40}, 200});
    CHECK_FALSE(w.seen(event::kind::over_limit));
    CHECK(counts(w).direct_reclaims.load() == 0);
    w.check();
    read(w, {{0}, 240});
}

TEST_CASE("shard: a page that no tier wants is offered once for each time it leaves the guest") {
    world_options o = slow_world();
    o.room = 200;
    shard_world w(o);
    write(w, {{0}, 20});
    w.controls[0]->reject_stores = true;
    REQUIRE(w.run_command(kind::evict, {{0}, 20}).ok());
    w.controls[0]->reject_stores = false;
    const auto times = [&](std::uint64_t page) { return w.controls[0]->rejected.count(page); };
    for (int round = 0; round < 4; ++round)
        write(w, {{20}, 220}); // under pressure all the time
    for (std::uint64_t page = 0; page < 20; ++page)
        CHECK(times(page) == 1);
    w.check();

    read(w, {{7}, 1}); // it may have been changed, so it is offered anew
    w.controls[0]->reject_stores = true;
    REQUIRE(w.run_command(kind::evict, {{7}, 1}).ok());
    CHECK(times(7) == 2);
    CHECK(times(8) == 1);
}

TEST_CASE("shard: what a tier cannot take just now is offered again") {
    world_options o = slow_world();
    o.room = 200;
    shard_world w(o);
    write(w, {{0}, 20});
    w.controls[0]->refuse_stores = true;
    REQUIRE(w.run_command(kind::evict, {{0}, 20}).ok());
    REQUIRE(w.state({3}) == page_state::staged);
    w.controls[0]->refuse_stores = false;
    write(w, {{20}, 220});
    CHECK(w.state({3}) == page_state::swapped);
}

TEST_CASE("shard: a page of each window that no tier wants leaves room for the other pages") {
    // Each keeps a cluster of frames, and there are few more clusters than windows: those that
    // come later have to join it.
    world_options o = slow_world();
    o.pages = 16 * cluster_pages;
    o.room = 2 * o.pages;
    shard_world w(o);
    for (int round = 0; round < 3; ++round) {
        write(w, {{0}, o.pages});
        w.controls[0]->reject_stores = true;
        for (page_index page{7}; page.value < o.pages; page = page + cluster_pages)
            REQUIRE(w.run_command(kind::evict, {page, 1}).ok());
        w.controls[0]->reject_stores = false;
        REQUIRE(w.run_command(kind::evict, {{0}, o.pages}).ok());
        for (page_index page{0}; page.value < o.pages; page = page + 1) {
            INFO(page.value);
            CHECK(w.state(page) ==
                  (page.value % cluster_pages == 7 ? page_state::staged : page_state::swapped));
        }
        w.check();
    }
    read(w, {{0}, o.pages});
}

TEST_CASE("shard: a tier that wants nothing does not stop the guest") {
    world_options o = slow_world(); // refuses in the background: writes are always under way
    o.room = 160;
    for (const bool for_ever : {false, true}) {
        shard_world w(o);
        (for_ever ? w.controls[0]->reject_stores : w.controls[0]->refuse_stores) = true;
        write(w, {{0}, 256});
        CHECK(w.seen(event::kind::over_limit));
        read(w, {{0}, 256});
        w.check();
    }
}

TEST_CASE("shard: more reads than it has buffers for is no lack of memory") {
    world_options o = slow_world();
    o.vcpus = 64;
    shard_world w(o);
    write_and_force_out(w, {{0}, 128});
    write(w, {{128}, 64});
    const auto evicted = counts(w).evicted_pages.load();
    w.controls[0]->hold = true;
    for (unsigned cpu = 0; cpu < 64; ++cpu)
        w.start_access(cpu, {2 * cpu}, false);
    w.steps(50);
    CHECK(counts(w).evicted_pages.load() == evicted);
    CHECK(counts(w).direct_reclaims.load() == 0);
    w.controls[0]->hold = false;
    w.finish();
    w.check();
}

TEST_CASE("shard: more faults than can wait are answered all the same") {
    world_options o = slow_world();
    o.pages = 2048;
    o.room = 2100;
    o.vcpus = 1500;
    shard_world w(o);
    w.begin_discard({{2047}, 1});
    w.step(); // nothing can be installed until the discarding thread is awake
    for (unsigned cpu = 0; cpu < 1500; ++cpu)
        w.start_access(cpu, {cpu}, true);
    w.steps(40);
    CHECK(w.blocked(0));
    CHECK(w.blocked(1499));
    w.finish();
    w.check();
}

TEST_CASE("shard: with nothing to do it sleeps, also after pressure") {
    world_options o = slow_world();
    o.room = 160;
    shard_world w(o);
    write(w, {{0}, 256});
    REQUIRE(w.run_command(kind::idle, {}).ok());
    w.steps(50);
    CHECK(w.engine->step() == wait_hint::spin);
}

TEST_CASE("shard: zeros taken out of a page that had just been discarded come back as zeros") {
    shard_world w(fast_world());
    write(w, {{7}, 1});
    w.begin_discard({{7}, 1});
    w.step();             // the page is forgotten ...
    w.progress_discard(); // ... operations work again, and the page is still mapped
    w.os.unmap_private({7});
    w.start_access(0, {7}, false);
    w.step(); // zero-filled
    REQUIRE(w.state({7}) == page_state::resident);
    w.progress_discard(); // and now it goes, unseen
    REQUIRE_FALSE(w.os.mapped({7}));
    w.controls[0]->refuse_stores = true;
    w.os.clock_ns += 1'000'000;
    REQUIRE(w.run_command(kind::evict, {{7}, 1}).ok());
    for (int i = 0; i < 4; ++i) // by copy and by move
        w.touch({7}, false);
    w.check();
}

// ---- tiers --------------------------------------------------------------------------------------

TEST_CASE("shard: the coldest pages of a nearly full tier are demoted, and promoted by a fault") {
    world_options o = fast_world();
    o.tiers = {{true, true}, {false, false}};
    o.first_capacity = 64;
    shard_world w(o);
    write_and_force_out(w, {{0}, 62});
    w.steps(50);
    const auto demoted = w.engine->tiers().counters(1).demoted.load();
    CHECK(demoted >= 6);
    CHECK(w.controls[0]->stored_pages <= 56);
    CHECK(w.engine->table()[{0}].tier() == 2); // stored first, so coldest
    CHECK(w.engine->table()[{61}].tier() == 1);
    read(w, {{0}, 62});
    CHECK(w.state({0}) == page_state::resident);
    w.check();
}

TEST_CASE("shard: a page discarded while it is demoted frees both slots") {
    world_options o = fast_world();
    o.tiers = {{true, true}, {false, false}};
    o.first_capacity = 64;
    shard_world w(o);
    w.controls[1]->hold = true;
    write_and_force_out(w, {{0}, 62});
    w.steps(10);
    REQUIRE(is(w, {0}, page_flag::demoting));
    w.discard({{0}, 62});
    w.controls[1]->hold = false;
    w.steps(20);
    CHECK(w.controls[0]->stored_pages == 0);
    CHECK(w.controls[1]->stored_pages == 0);
    read(w, {{0}, 62});
}

TEST_CASE("shard: a page that comes in while it is demoted loses nothing") {
    world_options o = fast_world();
    o.tiers = {{true, true}, {false, false}};
    o.first_capacity = 64;
    shard_world w(o);
    w.controls[1]->hold = true;
    write_and_force_out(w, {{0}, 62});
    w.steps(10);
    REQUIRE(is(w, {0}, page_flag::demoting));
    write(w, {{0}, 1});
    w.controls[1]->hold = false;
    w.steps(20);
    CHECK_FALSE(is(w, {0}, page_flag::demoting));
    read(w, {{0}, 62});
    w.check();
}

TEST_CASE("shard: a page discarded while it is stored frees its slot") {
    shard_world w(slow_world());
    write(w, {{0}, 8});
    w.controls[0]->hold = true;
    command evict(kind::evict, {{0}, 8}, w.engine->commands());
    w.post(evict);
    w.steps(10);
    REQUIRE(is(w, {0}, page_flag::storing));
    w.discard({{0}, 8});
    w.controls[0]->hold = false;
    w.steps(20);
    CHECK(w.controls[0]->stored_pages == 0);
    read(w, {{0}, 8});
    w.check();
}

TEST_CASE("shard: a page taken back while it is stored keeps its latest contents") {
    shard_world w(slow_world());
    write(w, {{0}, 8});
    w.controls[0]->hold = true;
    command evict(kind::evict, {{0}, 8}, w.engine->commands());
    w.post(evict);
    w.steps(10);
    REQUIRE(is(w, {0}, page_flag::storing));
    write(w, {{0}, 8}); // served from the frames that are being written
    CHECK(resolved(w, resolution::staged) == 8);
    w.controls[0]->hold = false;
    w.steps(20);
    force_out(w, {{0}, 8});
    read(w, {{0}, 8});
}

// ---- prefetch -----------------------------------------------------------------------------------

TEST_CASE("shard: pages prefetched along a stream and read are hits, not waste") {
    for (world_options o : {slow_world(), fast_world()}) {
        o.prefetch = "sequential";
        o.prefetch_window = 16;
        shard_world w(o);
        write_and_force_out(w, {{0}, 200});
        const auto faults = counts(w).faults.load();
        const auto waste = counts(w).prefetch_waste.load();
        read(w, {{0}, 200});
        CHECK(counts(w).prefetched_pages.load() > 100);
        CHECK(counts(w).prefetch_hits.load() > 100);
        CHECK(counts(w).faults.load() - faults < 100);
        REQUIRE(w.run_command(kind::evict, {{0}, 150}).ok());
        CHECK(counts(w).prefetch_waste.load() == waste);
    }
}

TEST_CASE("shard: prefetched pages that leave unread are waste") {
    shard_world w(fast_world());
    write_and_force_out(w, {{0}, 32});
    REQUIRE(w.run_command(kind::prefetch, {{0}, 32}).ok());
    CHECK(counts(w).prefetched_pages.load() == 32);
    force_out(w, {{0}, 32});
    CHECK(counts(w).prefetch_waste.load() == 32);
    CHECK(counts(w).prefetch_hits.load() == 0);
}

TEST_CASE("shard: prefetch leaves free memory for faults alone") {
    world_options o = slow_world();
    o.room = 120;
    shard_world w(o);
    write_and_force_out(w, {{0}, 90});
    REQUIRE(w.run_command(kind::prefetch, {{0}, 60}).ok()); // so that there are buffers
    force_out(w, {{0}, 60});
    write(w, {{100}, 60});
    const std::uint64_t before = counts(w).direct_reclaims.load();
    CHECK_FALSE(w.engine->outrun());
    REQUIRE(w.run_command(kind::prefetch, {{0}, 90}).ok());
    CHECK(w.engine->outrun());
    write(w, {{200}, 4});
    w.steps(50);
    w.os.clock_ns += 1'000'000;
    w.step();
    CHECK_FALSE(w.engine->outrun());
    CHECK(w.money.free() >= 0);
    CHECK(counts(w).direct_reclaims.load() == before);
    w.check();
}

namespace {

/// Asks for what is not there.
class wild_prefetcher final : public prefetcher {
  public:
    [[nodiscard]] std::string_view name() const noexcept override { return "wild"; }
    [[nodiscard]] prefetch_window on_fault(page_index page, page_count& hits) noexcept override {
        hits = 1000;
        constexpr std::int32_t strides[] = {1, -7, 0, 1000, INT32_MIN};
        return {{page.value + 5}, strides[next_++ % 5], 1000};
    }
    void wasted(page_index) noexcept override {}
    [[nodiscard]] page_count window() const noexcept override { return 1000; }

  private:
    unsigned next_ = 0;
};

} // namespace

TEST_CASE("shard: windows outside the shard are clipped") {
    world_options o = fast_world();
    o.make_prefetcher = [](page_count) { return std::make_unique<wild_prefetcher>(); };
    shard_world w(o);
    write_and_force_out(w, {{0}, 256});
    read(w, {{0}, 256});
    for (page_index page{256}; page.value-- != 0;)
        w.touch(page, false);
    w.check();
}

// ---- whatever the kernel answers ----------------------------------------------------------------

TEST_CASE("shard: any answer of the kernel to any operation, after any progress, loses nothing") {
    using op = fake_kernel::op;
    using s = kernel_status;
    // `exists` would be a lie where pages come in, and `gone` ends a fault: see below.
    const auto kind_of_world = GENERATE(0, 1, 2, 3);
    const auto what = GENERATE(op::take_out, op::move_in, op::copy_in, op::zero_in, op::continue_in,
                               op::write_protect, op::poison, op::discard);
    const auto then = GENERATE(s::again, s::busy, s::no_memory, s::exists, s::gone);
    const auto most = GENERATE(0u, 1u, 3u);
    const bool in = what == op::copy_in || what == op::zero_in || what == op::move_in;
    if (((in || what == op::poison || what == op::continue_in) && then == s::exists) ||
        (what != op::take_out && then == s::gone) ||
        (what == op::discard && then != s::again && then != s::busy))
        return;
    world_options o = kind_of_world % 2 == 0 ? slow_world() : fast_world();
    if (kind_of_world >= 2)
        o = shared(o);
    o.prefetch = "sequential";
    shard_world w(o);
    unsigned calls = 0;
    w.os.inject = [&](op now, page_index) {
        return now == what && ++calls % 3 == 1 ? fake_kernel::injected{most, then}
                                               : fake_kernel::injected{};
    };
    write(w, {{0}, 40});
    REQUIRE(w.run_command(kind::evict, {{0}, 40}).ok());
    read(w, {{0}, 40});
    write(w, {{10}, 10});
    w.unmap({3});
    read(w, {{0}, 40});
    w.controls[0]->refuse_stores = true;
    REQUIRE(w.run_command(kind::evict, {{0}, 40}).ok());
    read(w, {{0}, 40});
    w.controls[0]->refuse_stores = false;
    REQUIRE(w.run_command(kind::evict, {{0}, 40}).ok());
    w.controls[0]->corrupt_next_load = true;
    w.touch({20}, false);
    w.discard({{20}, 4});
    read(w, {{0}, 40});
    w.check();
}

TEST_CASE("shard: a fault whose range is gone is forgotten, and asked anew if it was not") {
    using op = fake_kernel::op;
    for (const op what : {op::copy_in, op::zero_in, op::move_in, op::write_protect}) {
        shard_world w(slow_world());
        write_and_force_out(w, {{0}, 4});
        read(w, {{0}, 2});
        w.controls[0]->refuse_stores = true;
        write(w, {{4}, 2});
        REQUIRE(w.run_command(kind::evict, {{4}, 2}).ok());
        fail_once(w, what, kernel_status::gone);
        for (unsigned page = 0; page < 8; ++page) {
            w.start_access(0, {page}, page % 2 == 0);
            w.steps(20);
            w.os.wake({page}, 1); // what unregistering does
            w.finish();
        }
        w.check();
    }
}

// ---- found by the model test --------------------------------------------------------------------

TEST_CASE("shard: a thread that faults on few pages again and again does not starve a pin") {
    world_options o = shared(slow_world());
    o.room = 103;
    shard_world w(o);
    REQUIRE(w.run_command(kind::pin, {{200}, 8}).ok());
    write(w, {{0}, 90});
    w.controls[0]->refuse_stores = true;
    for (unsigned i = 0; i < 4; ++i)
        w.start_access(i, {100 + i}, true);
    REQUIRE(w.run_command(kind::pin, {{210}, 2}).ok());
    w.finish();
}
