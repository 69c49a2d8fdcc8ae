// SPDX-License-Identifier: BSD-3-Clause

/// What a large prefetch window brings in beyond the run of its fault, and what a page that came
/// in with a window keeps.

#include "small_world.hpp"

namespace uffdmm::test {
namespace {

/// Asks for the same window at the first fault after it was armed, and for nothing otherwise.
class one_window final : public prefetcher {
  public:
    explicit one_window(prefetch_window window) : window_(window) {}
    [[nodiscard]] std::string_view name() const noexcept override { return "one_window"; }
    [[nodiscard]] prefetch_window on_fault(page_index page, page_count& hits) noexcept override {
        hits = 0;
        if (page + 1 != window_.first)
            return {page, 1, 0};
        return window_;
    }
    void wasted(page_index) noexcept override {}
    [[nodiscard]] page_count window() const noexcept override { return window_.count; }

  private:
    prefetch_window window_;
};

world_options with_window(world_options o, prefetch_window window) {
    o.make_prefetcher = [window](page_count) { return std::make_unique<one_window>(window); };
    return o;
}

page_count resident_in(const shard_world& w, page_run run) {
    page_count n = 0;
    for (page_index page = run.first; page < run.end(); page = page + 1)
        n += w.state(page) == page_state::resident ? 1 : 0;
    return n;
}

/// Compressed RAM with room for copies of resident pages, and a window of 30 pages behind page 0.
world_options roomy_world() {
    world_options o = with_window(fast_world(), {{1}, 1, 30});
    o.first_capacity = 1000;
    return o;
}

constexpr page_run all{{0}, 256};
constexpr prefetch_window long_window{{1}, 1, 200};

} // namespace

TEST_CASE("read ahead: a window longer than a run comes in without another fault") {
    shard_world w(with_window(slow_world(), long_window));
    write_and_force_out(w, all);
    const auto faults = counts(w).faults.load();
    w.touch({0}, false);
    w.steps(40);
    CHECK(resident_in(w, {{0}, 201}) == 201);
    CHECK(counts(w).faults.load() == faults + 1);
    CHECK(w.state({201}) == page_state::swapped);
    w.verify_all();
}

TEST_CASE("read ahead: a fault elsewhere is answered before the rest of a window comes in") {
    shard_world w(with_window(slow_world(), long_window));
    write_and_force_out(w, {{0}, 201});
    w.start_access(0, {0}, false);
    w.start_access(1, {250}, true); // never touched: needs no read
    w.step();
    CHECK_FALSE(w.blocked(1));
    CHECK(resident_in(w, {{64}, 137}) == 0);
    w.verify_all();
}

TEST_CASE("read ahead: it stops where memory for faults begins") {
    world_options o = with_window(slow_world(), long_window);
    o.room = 160;
    shard_world w(o);
    write_and_force_out(w, all);
    w.touch({0}, false);
    w.steps(40);
    CHECK(resident_in(w, all) < 160);
    CHECK(counts(w).direct_reclaims.load() == 0);
    w.check();
    w.verify_all();
}

TEST_CASE("read ahead: every page of a strided window comes in, and no other") {
    shard_world w(with_window(slow_world(), {{1}, 5, 40}));
    write_and_force_out(w, all);
    w.touch({0}, false);
    w.steps(40);
    for (std::uint32_t i = 0; i < 40; ++i)
        CHECK(w.state({1 + 5 * i}) == page_state::resident);
    CHECK(resident_in(w, all) == 41);
    w.verify_all();
}

TEST_CASE("window: pages of a window leave compressed RAM's copy where it is and are not stored "
          "again") {
    shard_world w(roomy_world());
    write_and_force_out(w, {{0}, 31});
    w.touch({0}, false);
    REQUIRE(resident_in(w, {{0}, 31}) == 31);
    const auto stored = counts(w).swapped_out.load();
    const auto clean = counts(w).dropped_clean.load();
    force_out(w, {{1}, 30});
    CHECK(counts(w).swapped_out.load() == stored);
    CHECK(counts(w).dropped_clean.load() > clean);
    w.verify_all();
}

TEST_CASE("window: a write to a page of a window frees the copy in compressed RAM") {
    shard_world w(roomy_world());
    write_and_force_out(w, {{0}, 31});
    w.touch({0}, false);
    REQUIRE(is(w, {7}, page_flag::has_slot));
    w.touch({7}, true);
    CHECK_FALSE(is(w, {7}, page_flag::has_slot));
    w.check();
    w.verify_all();
}

TEST_CASE("window: a page that comes in alone gives its compressed copy up") {
    shard_world w(fast_world());
    write_and_force_out(w, {{0}, 8});
    w.touch({3}, false);
    CHECK_FALSE(is(w, {3}, page_flag::has_slot));
}

TEST_CASE("window: a nearly full tier keeps no copies of resident pages") {
    world_options o = roomy_world();
    o.first_capacity = 36;
    shard_world w(o);
    write_and_force_out(w, {{0}, 31});
    w.touch({0}, false);
    CHECK_FALSE(is(w, {1}, page_flag::has_slot));
    w.verify_all();
}

} // namespace uffdmm::test
