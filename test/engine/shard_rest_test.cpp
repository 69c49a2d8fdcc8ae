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
