// SPDX-License-Identifier: BSD-3-Clause

/// "No allocation and no lock on the fault path", counted.

#include <memory>
#include <mutex>

#include "engine/small_world.hpp"
#include "support/allocation_counter.hpp"
#include "support/lock_counter.hpp"

using namespace uffdmm;
using namespace uffdmm::test;
using kind = command::kind;

namespace {

struct cost {
    std::uint64_t allocations = 0;
    std::uint64_t locks = 0;
};

/// Faults on every page of the run, four at a time, and steps the shard until all are answered.
/// Counts inside step() only.
cost cost_of_faults(shard_world& w, page_run run, bool to_write) {
    cost sum;
    for (page_index page = run.first; page < run.end();) {
        for (unsigned cpu = 0; cpu < 4 && page < run.end(); ++cpu, page = page + 1)
            w.start_access(cpu, page, to_write);
        for (int i = 0; i < 20; ++i) {
            const cost before{allocations_of_this_thread(), locks_of_this_thread()};
            (void)w.engine->step();
            sum.allocations += allocations_of_this_thread() - before.allocations;
            sum.locks += locks_of_this_thread() - before.locks;
            w.os.clock_ns += 1000;
        }
        w.finish();
    }
    return sum;
}

void expect_free(shard_world& w, page_run run, bool to_write, resolution how) {
    const auto before = resolved(w, how);
    const cost c = cost_of_faults(w, run, to_write);
    CHECK(resolved(w, how) - before == run.count);
    CHECK(c.allocations == 0);
    CHECK(c.locks == 0);
}

} // namespace

TEST_CASE("fault path: the counters of allocations and locks count") {
    const cost before{allocations_of_this_thread(), locks_of_this_thread()};
    const auto something = std::make_unique<std::uint64_t>(7);
    std::mutex m;
    {
        const std::lock_guard lock(m);
        CHECK(*something == 7);
    }
    CHECK(allocations_of_this_thread() != before.allocations);
    CHECK((locks_of_this_thread() != before.locks || !locks_are_counted()));
}

TEST_CASE("fault path: zero pages take no allocation and no lock") {
    for (const world_options& o : {slow_world(), fast_world(), shared(slow_world())}) {
        shard_world w(o);
        expect_free(w, {{0}, 64}, false, resolution::zero);
        expect_free(w, {{64}, 64}, true, resolution::zero);
    }
}

TEST_CASE("fault path: staged pages take no allocation and no lock") {
    for (const world_options& o : {slow_world(), fast_world(), shared(slow_world())}) {
        shard_world w(o);
        write(w, {{0}, 64});
        w.controls[0]->fail_stores = true;
        REQUIRE(w.run_command(kind::evict, {{0}, 64}).ok());
        REQUIRE(w.state({5}) == page_state::staged);
        expect_free(w, {{0}, 64}, false, resolution::staged);
    }
}

TEST_CASE("fault path: same-filled pages take no allocation and no lock") {
    shard_world w(fast_world());
    for (int i = 0; i < 5; ++i)
        write(w, {{0}, 64});
    force_out(w, {{0}, 64});
    expect_free(w, {{0}, 64}, false, resolution::same_filled);
}

TEST_CASE("fault path: compressed pages take no allocation and no lock") {
    shard_world w(fast_world());
    write_and_force_out(w, {{0}, 64});
    expect_free(w, {{0}, 64}, false, resolution::memory_tier);
}

TEST_CASE("fault path: resident pages take no allocation and no lock") {
    shard_world w(slow_world());
    write_and_force_out(w, {{0}, 64});
    read(w, {{0}, 64});
    for (page_index page{0}; page.value < 64; page = page + 1)
        w.os.send({kernel_message::kind::missing, false, {page, 1}, 0});
    const cost before{allocations_of_this_thread(), locks_of_this_thread()};
    for (int i = 0; i < 4; ++i)
        (void)w.engine->step();
    CHECK(allocations_of_this_thread() == before.allocations);
    CHECK(locks_of_this_thread() == before.locks);
    const cost c = cost_of_faults(w, {{0}, 64}, true); // clean pages are written to
    CHECK(c.allocations == 0);
    CHECK(c.locks == 0);
    CHECK(resolved(w, resolution::present) == 64);
    CHECK(resolved(w, resolution::unprotect) != 0);
}

TEST_CASE("fault path: faults that have to wait take no allocation and no lock") {
    world_options o = fast_world();
    o.pages = 2048;
    o.room = 2100;
    shard_world w(o);
    w.begin_discard({{2047}, 1});
    w.step(); // nothing can be installed until the discarding thread is awake
    for (unsigned page = 0; page < 1200; ++page) // more than can wait
        w.os.send({kernel_message::kind::missing, true, {{page}, 1}, 0});
    const cost before{allocations_of_this_thread(), locks_of_this_thread()};
    for (int i = 0; i < 30; ++i)
        (void)w.engine->step();
    CHECK(w.engine->parked());
    CHECK(allocations_of_this_thread() == before.allocations);
    CHECK(locks_of_this_thread() == before.locks);
    w.finish();
}
