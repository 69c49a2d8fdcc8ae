// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Worlds for tests of one thing each, and what such tests say often.

#include "support/catch.hpp"
#include "support/shard_world.hpp"

namespace uffdmm::test {

/// One tier, no prefetch, much more room than the test needs unless it says otherwise.
[[nodiscard]] inline world_options quiet_world(fake_tier::shape tier) {
    world_options o;
    o.pages = 256;
    o.room = 1024;
    o.prefetch = "off";
    o.policy = "fifo";
    o.tiers = {tier};
    o.first_capacity = SIZE_MAX;
    return o;
}
/// A tier that reads in the background, like a disk: its slots are kept while pages are clean.
[[nodiscard]] inline world_options slow_world() {
    return quiet_world({.synchronous = false, .counts_in_limit = false});
}
/// A tier that is read on the spot, like compressed RAM.
[[nodiscard]] inline world_options fast_world() {
    return quiet_world({.synchronous = true, .counts_in_limit = true});
}
[[nodiscard]] inline world_options shared(world_options o) {
    o.traits = {.shared = true, .move = false, .poison = true, .remove_events = false};
    return o;
}

[[nodiscard]] inline const shard_counters& counts(const shard_world& w) {
    return w.engine->counters();
}
inline void write(shard_world& w, page_run run) {
    for (page_index page = run.first; page < run.end(); page = page + 1)
        w.touch(page, true);
}
inline void read(shard_world& w, page_run run) {
    for (page_index page = run.first; page < run.end(); page = page + 1)
        w.touch(page, false);
}
inline void force_out(shard_world& w, page_run run) {
    REQUIRE(w.run_command(command::kind::evict, run).ok());
    for (page_index page = run.first; page < run.end(); page = page + 1)
        REQUIRE(w.state(page) == page_state::swapped);
}
inline void write_and_force_out(shard_world& w, page_run run) {
    write(w, run);
    force_out(w, run);
}

[[nodiscard]] inline std::uint64_t resolved(const shard_world& w, resolution how) {
    return w.engine->counters().faults_by_resolution[static_cast<unsigned>(how)].load();
}
[[nodiscard]] inline bool is(const shard_world& w, page_index page, page_flag flag) {
    return w.engine->table()[page].has(flag);
}

/// Makes operation `what` end once with `then`, after `most` pages.
inline void fail_once(shard_world& w, fake_kernel::op what, kernel_status then,
                      page_count most = 0) {
    w.os.inject = [&w, what, then, most](fake_kernel::op op, page_index) {
        if (op != what)
            return fake_kernel::injected{};
        const fake_kernel::injected failure{most, then};
        w.os.inject = nullptr;
        return failure;
    };
}

} // namespace uffdmm::test
