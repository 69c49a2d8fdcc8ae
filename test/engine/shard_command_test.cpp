// SPDX-License-Identifier: BSD-3-Clause

/// What a shard promises about commands, on the fake kernel, one thing at a time.

#include "engine/small_world.hpp"

using namespace uffdmm;
using namespace uffdmm::test;
using kind = command::kind;

TEST_CASE("shard: evict takes out the range and nothing else") {
    shard_world w(fast_world());
    write(w, {{0}, 200});
    command first(kind::evict, {{10}, 5}, w.engine->commands());
    w.controls[0]->refuse_stores = true;
    REQUIRE(w.run_command(kind::evict, {{10}, 5}).ok()); // stay staged: an older cluster
    w.controls[0]->refuse_stores = false;
    command c(kind::evict, {{64}, 70}, w.engine->commands());
    REQUIRE(w.run_command(kind::evict, {{64}, 70}, &c).ok());
    CHECK(c.pages == 70);
    for (page_index page{0}; page.value < 200; page = page + 1) {
        const bool inside = page.value >= 64 && page.value < 134;
        const bool older = page.value >= 10 && page.value < 15;
        CHECK(w.state(page) == (inside  ? page_state::swapped
                                : older ? page_state::staged
                                        : page_state::resident));
    }
}

TEST_CASE("shard: evict counts what stayed in memory as not evicted") {
    shard_world w(slow_world());
    write(w, {{0}, 20});
    w.controls[0]->capacity_pages = 5;
    command c(kind::evict, {{0}, 20}, w.engine->commands());
    REQUIRE(w.run_command(kind::evict, {{0}, 20}, &c).ok());
    CHECK(c.pages == 5);
}

TEST_CASE("shard: evict ends although a tier turns everything down") {
    world_options o = slow_world();
    o.room = 400;
    shard_world w(o);
    write(w, {{0}, 256});
    w.controls[0]->refuse_stores = true;
    command c(kind::evict, {{0}, 256}, w.engine->commands());
    REQUIRE(w.run_command(kind::evict, {{0}, 256}, &c).ok());
    CHECK(c.pages == 0);
    read(w, {{0}, 256});
}

TEST_CASE("shard: a pinned page stays until it was unpinned as often as it was pinned") {
    shard_world w(fast_world());
    REQUIRE(w.run_command(kind::pin, {{0}, 4}).ok());
    REQUIRE(w.run_command(kind::pin, {{2}, 4}).ok());
    CHECK(counts(w).pinned_pages.load() == 6);
    REQUIRE(w.run_command(kind::evict, {{0}, 6}).ok());
    for (page_index page{0}; page.value < 6; page = page + 1)
        CHECK(w.os.mapped(page));
    REQUIRE(w.run_command(kind::unpin, {{0}, 4}).ok());
    REQUIRE(w.run_command(kind::evict, {{0}, 6}).ok());
    CHECK_FALSE(w.os.mapped({1}));
    CHECK(w.os.mapped({2}));
    CHECK(w.run_command(kind::unpin, {{0}, 4}).code() == errc::wrong_state);
    REQUIRE(w.run_command(kind::unpin, {{2}, 4}).ok());
    CHECK(counts(w).pinned_pages.load() == 0);
}

TEST_CASE("shard: pin brings swapped pages in, writable, slow tier or not") {
    for (const world_options& o : {slow_world(), fast_world()}) {
        shard_world w(o);
        write_and_force_out(w, {{0}, 100});
        REQUIRE(w.run_command(kind::pin, {{0}, 100}).ok());
        for (page_index page{0}; page.value < 100; page = page + 1) {
            CHECK(w.os.mapped(page));
            CHECK_FALSE(w.os.is_protected(page));
        }
        read(w, {{0}, 100});
    }
}

TEST_CASE("shard: a pin of lost contents fails and pins nothing") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 8});
    w.controls[0]->corrupt_next_load = true;
    CHECK(w.run_command(kind::pin, {{0}, 8}).code() == errc::poisoned);
    CHECK(counts(w).pinned_pages.load() == 0);
    for (page_index page{0}; page.value < 8; page = page + 1)
        CHECK_FALSE(is(w, page, page_flag::pinned));
}

TEST_CASE("shard: a pin beyond the limit fails and pins nothing") {
    world_options o = fast_world();
    o.room = 160;
    shard_world w(o);
    CHECK(w.run_command(kind::pin, {{0}, 256}).code() == errc::limit_too_small);
    CHECK(counts(w).pinned_pages.load() == 0);
    CHECK(w.os.pages_mapped() == 0);
}

TEST_CASE("shard: a pin that nothing can make room for fails instead of waiting for ever") {
    world_options o = slow_world();
    o.room = 200;
    o.tiers = {};
    shard_world w(o);
    write(w, {{0}, 180});
    CHECK(w.run_command(kind::pin, {{180}, 70}).code() == errc::limit_too_small);
    CHECK(counts(w).pinned_pages.load() == 0);
    read(w, {{0}, 180});
}

TEST_CASE("shard: pin looks whether a page is really there") {
    shard_world w(fast_world());
    write(w, {{7}, 1});
    w.begin_discard({{7}, 1});
    w.step();
    w.progress_discard();
    w.os.unmap_private({7});
    w.start_access(0, {7}, false);
    w.step();   // zero-filled
    w.finish(); // and now it goes, unseen
    REQUIRE(w.state({7}) == page_state::resident);
    REQUIRE_FALSE(w.os.mapped({7}));
    REQUIRE(w.run_command(kind::pin, {{7}, 1}).ok());
    CHECK(w.os.mapped({7}));
}

TEST_CASE("shard: discard of a range with a pinned page is refused whole") {
    // The device behind the pin would go on writing to a page that the guest no longer sees.
    shard_world w(shared(fast_world()));
    write(w, {{0}, 8});
    REQUIRE(w.run_command(kind::pin, {{5}, 1}).ok());
    CHECK(w.run_command(kind::discard, {{0}, 8}).code() == errc::busy);
    CHECK(w.run_command(kind::check_pins, {{0}, 8}).code() == errc::busy);
    read(w, {{0}, 8});
    REQUIRE(w.run_command(kind::unpin, {{5}, 1}).ok());
    w.discard({{0}, 8});
    CHECK(w.os.pages_mapped() == 0);
    read(w, {{0}, 8});
}

TEST_CASE("shard: discarding staged and swapped pages frees frames and slots") {
    for (const world_options& o : {slow_world(), shared(slow_world()), fast_world()}) {
        shard_world w(o);
        write_and_force_out(w, {{0}, 8});
        w.controls[0]->refuse_stores = true;
        write(w, {{8}, 8});
        REQUIRE(w.run_command(kind::evict, {{8}, 8}).ok());
        REQUIRE(w.state({8}) == page_state::staged);
        w.discard({{0}, 16});
        REQUIRE(w.run_command(kind::idle, {}).ok());
        CHECK(w.controls[0]->stored_pages == 0);
        CHECK(w.os.frames_in_use() == 0);
        CHECK(counts(w).staged_pages.load() == 0);
        read(w, {{0}, 16});
    }
}

TEST_CASE("shard: restore leaves plain memory with its contents") {
    for (const world_options& o :
         {slow_world(), fast_world(), shared(slow_world()), shared(fast_world())}) {
        shard_world w(o);
        write_and_force_out(w, {{0}, 100});
        write(w, {{100}, 50});
        read(w, {{20}, 10});
        w.restore_all();
        const auto faults = counts(w).faults.load();
        read(w, {{0}, 150});
        write(w, {{0}, 150});
        CHECK(counts(w).faults.load() == faults);
    }
}

TEST_CASE("shard: query reports runs of equal state and its tier") {
    shard_world w(fast_world());
    write(w, {{10}, 20});
    force_out(w, {{15}, 5});
    command c(kind::query, {{0}, 256}, w.engine->commands());
    REQUIRE(w.run_command(kind::query, {{0}, 256}, &c).ok());
    REQUIRE(c.answers == 5);
    CHECK(c.answer[0].pages == page_run{{0}, 10});
    CHECK(c.answer[0].state == residency::untouched);
    CHECK(c.answer[2].pages == page_run{{15}, 5});
    CHECK(c.answer[2].state == residency::swapped);
    CHECK(c.answer[2].tier == 1);
    CHECK(c.answer[4].pages == page_run{{30}, 226});
}
