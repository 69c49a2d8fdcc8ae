// SPDX-License-Identifier: BSD-3-Clause

/// What a shard tells its thread about waiting.

#include "support/catch.hpp"
#include "support/shard_world.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

TEST_CASE("shard: after an answered fault its thread may rest at once") {
    shard_world w({.room = 400, .prefetch = "off"});
    REQUIRE(w.engine->step() == wait_hint::spin);
    w.start_access(0, {7}, true);
    REQUIRE(w.engine->step() == wait_hint::served);
    REQUIRE(w.engine->step() == wait_hint::spin);
}

TEST_CASE("shard: an answered fault that leaves too little memory is followed by reclaim") {
    shard_world w({.room = 100, .prefetch = "off"});
    wait_hint last = wait_hint::served;
    for (std::uint32_t page = 0; last == wait_hint::served; ++page) {
        REQUIRE(page < 100);
        w.start_access(0, {page}, true);
        last = w.engine->step();
        w.wait_for_vcpu(0);
    }
    REQUIRE(last != wait_hint::spin);
}

TEST_CASE("shard: a few dead frames are given back only after a while without faults") {
    shard_world w({.room = 400, .prefetch = "off", .tiers = {}});
    w.touch({7}, true);
    (void)w.run_command(command::kind::evict, {{7}, 1}); // stays staged: there is no tier
    REQUIRE(w.state({7}) == page_state::staged);
    w.discard({{7}, 1});
    REQUIRE(w.engine->step() == wait_hint::linger);
    const std::uint64_t released = w.engine->counters().frame_releases.load();
    w.start_access(0, {8}, true);
    REQUIRE(w.engine->step() == wait_hint::poll);
    REQUIRE(w.engine->step() == wait_hint::linger);
    REQUIRE(w.engine->counters().frame_releases.load() == released);
    w.os.clock_ns += 1'000'000;
    REQUIRE(w.engine->step() == wait_hint::poll);
    REQUIRE(w.engine->counters().frame_releases.load() == released + 1);
    REQUIRE(w.engine->step() == wait_hint::spin);
}

TEST_CASE("shard: while faults wait for a slow tier its thread sleeps instead of spinning") {
    shard_world w(
        {.room = 400, .prefetch = "off", .tiers = {{false, false}}, .first_capacity = 400});
    for (std::uint32_t page = 0; page < 64; ++page)
        w.touch({page}, true);
    REQUIRE(w.run_command(command::kind::evict, {{0}, 64}).ok());
    for (std::uint32_t page = 0; page < 64; ++page)
        w.touch({page}, false);
    w.os.clock_ns += 1'000'000;
    while (w.engine->step() == wait_hint::poll)
        continue;
    REQUIRE(w.engine->step() == wait_hint::sleep);
    for (std::uint32_t page = 100; page < 164; ++page)
        w.touch({page}, true); // answered at once
    REQUIRE(w.engine->step() == wait_hint::spin);
}
