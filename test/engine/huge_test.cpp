// SPDX-License-Identifier: BSD-3-Clause

/// Huge pages: memory that is ample is installed a block at a time.

#include "engine/small_world.hpp"
#include "uffdmm/engine/huge_blocks.hpp"

using namespace uffdmm;
using namespace uffdmm::test;
using kind = command::kind;

namespace {

constexpr page_count block = 32;

/// Blocks of 32 pages, and four times the memory it takes to hold everything.
world_options huge_world() {
    world_options o = slow_world();
    o.traits.huge_page = block;
    return o;
}
page_count mapped_in(const shard_world& w, page_run run) {
    page_count n = 0;
    for (page_index page = run.first; page < run.end(); page = page + 1)
        n += w.os.mapped(page) ? 1 : 0;
    return n;
}
std::uint64_t installs(const shard_world& w) {
    return counts(w).huge_installs.load();
}

} // namespace

TEST_CASE("huge_blocks: blocks are aligned by address and clipped to the shard") {
    // The shard begins at the 30th page of a block of 32.
    const huge_blocks blocks(100, std::uint64_t{30} << page_shift, 32);
    CHECK(blocks.around({0}) == page_run{{0}, 2});
    CHECK(blocks.around({1}) == page_run{{0}, 2});
    CHECK(blocks.around({2}) == page_run{{2}, 32});
    CHECK(blocks.around({33}) == page_run{{2}, 32});
    CHECK(blocks.around({34}) == page_run{{34}, 32});
    CHECK(blocks.around({99}) == page_run{{98}, 2});
    CHECK_FALSE(blocks.can_be_huge(blocks.around({0})));
    CHECK(blocks.can_be_huge(blocks.around({2})));
    CHECK_FALSE(blocks.can_be_huge(blocks.around({99})));
}

TEST_CASE("huge_blocks: a block with a single page is never huge again") {
    huge_blocks blocks(128, 0, 32);
    blocks.has_single({40});
    CHECK(blocks.can_be_huge(blocks.around({31})));
    CHECK_FALSE(blocks.can_be_huge(blocks.around({32})));
    CHECK(blocks.can_be_huge(blocks.around({64})));
}

TEST_CASE("huge pages: the first touch of a block maps all of it") {
    for (const bool write : {false, true}) {
        shard_world w(huge_world());
        w.touch({40}, write);
        CHECK(w.os.mapped_huge({40}));
        CHECK(mapped_in(w, {{32}, block}) == block);
        CHECK(w.os.pages_mapped() == block);
        CHECK(counts(w).resident_pages.load() == block);
        CHECK(installs(w) == 1);
        const auto faults = counts(w).faults.load();
        test::write(w, {{32}, block});
        CHECK(counts(w).faults.load() == faults);
        w.check();
    }
}

TEST_CASE("huge pages: a block is charged in full before it is installed") {
    world_options o = huge_world();
    shard_world w(o);
    w.step();
    const auto used = w.engine->money().used();
    w.touch({0}, true);
    CHECK(w.engine->money().used() - used == static_cast<std::int64_t>(bytes_of(block)));
}

TEST_CASE("huge pages: there are none where the limit would not hold the whole shard") {
    world_options o = huge_world();
    o.room = 250;
    shard_world w(o);
    w.touch({0}, true);
    CHECK_FALSE(w.os.huge_allowed());
    CHECK(installs(w) == 0);
    CHECK(w.os.pages_mapped() == 1);
}

TEST_CASE("huge pages: a limit that is raised allows them, one that is lowered forbids them") {
    shard_world w(huge_world());
    w.touch({0}, true);
    REQUIRE(installs(w) == 1);
    w.set_room(200);
    w.steps(2);
    CHECK_FALSE(w.os.huge_allowed());
    w.touch({64}, true);
    CHECK(installs(w) == 1);
    w.set_room(1024);
    w.steps(2);
    CHECK(w.os.huge_allowed());
    w.touch({128}, true);
    CHECK(installs(w) == 2);
    w.touch({65}, true); // its block has a page table
    CHECK(installs(w) == 2);
    w.check();
}

TEST_CASE("huge pages: at the edge of ample the kernel is not told again and again") {
    shard_world w(huge_world());
    w.step();
    REQUIRE(w.os.huge_allowed());
    // Less than the reserve above what it takes, but not less than it takes.
    w.set_room(258);
    w.steps(2);
    CHECK(w.os.huge_allowed());
    w.set_room(200);
    w.steps(2);
    CHECK_FALSE(w.os.huge_allowed());
    w.set_room(258);
    w.steps(2);
    CHECK_FALSE(w.os.huge_allowed());
}

TEST_CASE("huge pages: without a huge page of the kernel single pages serve, for a while") {
    shard_world w(huge_world());
    w.os.out_of_huge_pages = true;
    w.touch({0}, true);
    CHECK(w.os.pages_mapped() == 1);
    w.os.out_of_huge_pages = false;
    w.touch({32}, true);
    CHECK(installs(w) == 0);
    w.os.clock_ns += 2'000'000'000;
    w.touch({64}, true);
    CHECK(installs(w) == 1);
    w.check();
}

TEST_CASE("huge pages: prefetching does not spoil a block for them") {
    world_options o = huge_world();
    o.prefetch = "sequential";
    shard_world w(o);
    w.os.out_of_huge_pages = true;
    write(w, {{0}, block});
    w.os.out_of_huge_pages = false;
    w.os.clock_ns += 2'000'000'000;
    w.steps(100);
    CHECK(w.os.pages_mapped() == block);
    w.touch({block}, true);
    CHECK(installs(w) == 1);
}

TEST_CASE("huge pages: a block with a pinned page is left to single pages") {
    shard_world w(huge_world());
    REQUIRE(w.run_command(kind::pin, {{3}, 1}).ok());
    w.touch({0}, true);
    CHECK(installs(w) == 0);
    CHECK(w.os.pages_mapped() == 2);
    REQUIRE(w.run_command(kind::unpin, {{3}, 1}).ok());
}

TEST_CASE("huge pages: a one-pass reader brings in single pages") {
    world_options o = huge_world();
    o.pages = 4096;
    o.room = 16384;
    shard_world w(o);
    w.os.vcpus[0].thread = 77;
    read(w, {{0}, 4096});
    CHECK(installs(w) < 4096 / block);
    CHECK(counts(w).one_pass_faults.load() != 0);
    w.check();
}

TEST_CASE("huge pages: an unread event parks the fault, and the block is huge after all") {
    shard_world w(huge_world());
    w.step();
    w.begin_discard({{200}, 1});
    w.start_access(0, {0}, true);
    w.step();
    while (w.discarding()) {
        w.progress_discard();
        w.step();
    }
    w.finish();
    CHECK(installs(w) == 1);
    CHECK(w.os.mapped_huge({0}));
    w.check();
}

TEST_CASE("huge pages: what the kernel installed before it stopped is resident") {
    shard_world w(huge_world());
    w.step();
    fail_once(w, fake_kernel::op::huge_in, kernel_status::busy, 5);
    w.touch({20}, true);
    CHECK(counts(w).resident_pages.load() == 6);
    CHECK(installs(w) == 0);
    w.check();
    w.os.clock_ns += 2'000'000'000;
    write(w, {{0}, block});
    CHECK(installs(w) == 0);
    w.check();
}

TEST_CASE("huge pages: touched and untouched pages leave, and the latter cost no tier") {
    shard_world w(huge_world());
    write(w, {{0}, 4});
    REQUIRE(counts(w).resident_pages.load() == block);
    REQUIRE(w.run_command(kind::evict, {{0}, block}).ok());
    w.steps(50);
    CHECK(counts(w).resident_pages.load() == 0);
    CHECK(counts(w).dropped_zero.load() == block - 4);
    CHECK(w.os.pages_held() == 0);
    for (page_index page{4}; page.value < block; page = page + 1)
        CHECK(w.state(page) == page_state::untouched);
    read(w, {{0}, block});
    w.check();
}

TEST_CASE("huge pages: a lowered limit takes memory back from them") {
    shard_world w(huge_world());
    w.verify_all();
    REQUIRE(installs(w) == 256 / block);
    write(w, {{0}, 256});
    w.set_room(64);
    w.steps(2000);
    CHECK(w.os.pages_held() + w.os.frames_in_use() <= 64);
    w.verify_all();
    w.check();
}

// partial_huge_page
TEST_CASE("hazard partial_huge_page: a discard in part of a huge page gives memory back") {
    for (const bool events : {true, false}) {
        world_options o = huge_world();
        o.traits.remove_events = events;
        shard_world w(o);
        write(w, {{0}, 4 * block});
        REQUIRE(installs(w) == 4);
        // The end of one block, a whole one, and the beginning of another.
        w.discard({{block - 3}, block + 5});
        CHECK(w.os.pages_held() == 4 * block - block - 5);
        CHECK(w.os.pages_held() == w.os.pages_mapped());
        CHECK_FALSE(w.os.mapped_huge({0}));
        CHECK_FALSE(w.os.mapped_huge({2 * block}));
        CHECK(w.os.mapped_huge({3 * block}));
        w.verify_all();
        w.check();
    }
}

TEST_CASE("huge pages: a block that was discarded as a whole is huge again") {
    for (const bool events : {true, false}) {
        world_options o = huge_world();
        o.traits.huge_page = 128; // more than a command does at once
        o.traits.remove_events = events;
        o.pages = 512;
        shard_world w(o);
        write(w, {{0}, 512});
        w.discard({{100}, 300});
        CHECK(w.os.pages_held() == 212);
        write(w, {{0}, 512});
        CHECK(w.os.mapped_huge({128}));
        CHECK(w.os.mapped_huge({256}));
        CHECK_FALSE(w.os.mapped_huge({0}));
        CHECK_FALSE(w.os.mapped_huge({384}));
        CHECK(installs(w) == 4 + 2);
        w.check();
    }
}
