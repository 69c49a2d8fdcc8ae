// SPDX-License-Identifier: BSD-3-Clause
#include "placement/gather_chooser.hpp"

#include "support/catch.hpp"

using namespace uffdmm;

namespace {

/// A guest that gets so many pages a second, apart and together.
class guest {
  public:
    guest(double apart, double together) : apart_(apart), together_(together) {}

    void becomes(double apart, double together) {
        apart_ = apart;
        together_ = together;
    }
    /// Returns the share of the time, in percent, in which the threads were together.
    double live(double seconds) {
        const std::uint64_t end = now_ + static_cast<std::uint64_t>(seconds * 1e9);
        std::uint64_t together = 0;
        const std::uint64_t begin = now_;
        while (now_ < end) {
            now_ += step_ns;
            pages_ += (is_together_ ? together_ : apart_) * step_ns * 1e-9;
            together += is_together_ ? step_ns : 0;
            const bool before = is_together_;
            is_together_ = chooser.step(now_, static_cast<std::uint64_t>(pages_));
            moves += before == is_together_ ? 0 : 1;
        }
        return 100.0 * static_cast<double>(together) / static_cast<double>(end - begin);
    }
    [[nodiscard]] bool is_together() const { return is_together_; }
    [[nodiscard]] std::uint64_t now() const { return now_; }

    gather_chooser chooser;
    unsigned moves = 0;

  private:
    static constexpr std::uint64_t step_ns = 500'000;
    double apart_;
    double together_;
    double pages_ = 0;
    std::uint64_t now_ = 1;
    bool is_together_ = false;
};

} // namespace

TEST_CASE("gather chooser: threads are gathered where that is faster, and for good") {
    guest g(20'000, 30'000);
    g.live(0.5);
    CHECK(g.is_together());
    CHECK(g.live(20) > 95);
}

TEST_CASE("gather chooser: threads stay apart where that is faster, but for ever rarer trials") {
    guest g(30'000, 20'000);
    g.live(0.5);
    const double early = g.live(2);
    CHECK(early > 1); // it does try
    CHECK(g.live(20) < 4);
    CHECK_FALSE(g.is_together());
}

TEST_CASE("gather chooser: as fast is good enough to be together") {
    guest g(30'000, 29'500);
    g.live(20);
    CHECK(g.is_together());
    guest slower(30'000, 26'000);
    slower.live(20);
    CHECK_FALSE(slower.is_together());
}

TEST_CASE("gather chooser: what was chosen is chosen again when the guest changes") {
    guest g(20'000, 30'000);
    g.live(10);
    REQUIRE(g.is_together());
    g.becomes(30'000, 15'000);
    g.live(10);
    CHECK_FALSE(g.is_together());
    g.becomes(15'000, 30'000);
    g.live(10);
    CHECK(g.is_together());
}

TEST_CASE("gather chooser: without faults all are apart, and nothing is tried") {
    guest g(20'000, 30'000);
    g.live(1);
    REQUIRE(g.is_together());
    REQUIRE(g.chooser.busy());
    g.becomes(0, 0);
    g.live(0.1);
    CHECK_FALSE(g.is_together());
    CHECK_FALSE(g.chooser.busy());
    const unsigned moves = g.moves;
    g.live(30);
    CHECK(g.moves == moves);
    SECTION("what was chosen before holds when they come again") {
        g.becomes(20'000, 30'000);
        g.live(0.1);
        CHECK(g.is_together());
    }
}

TEST_CASE("gather chooser: hardly any faults because of being together are no quiet time") {
    guest g(800, 400);
    g.live(2);
    CHECK(g.live(20) < 4);
    CHECK(g.chooser.busy());
    SECTION("nor where that was better before") {
        g.becomes(800, 1600);
        g.live(10);
        REQUIRE(g.is_together());
        g.becomes(800, 400);
        g.live(2);
        CHECK(g.live(20) < 4);
        CHECK_FALSE(g.is_together());
    }
}

TEST_CASE("gather chooser: a trial in which the threads were not together is put off") {
    guest g(30'000, 20'000);
    while (!g.is_together())
        g.live(0.001);
    g.chooser.disturbed(g.now());
    CHECK(g.live(0.19) < 2); // the round that says so
    g.becomes(20'000, 30'000);
    g.live(0.5);
    CHECK(g.is_together());
    g.chooser.disturbed(g.now()); // no trial: what was chosen holds
    CHECK(g.live(0.05) > 99);
}

TEST_CASE("gather chooser: what was not possible is not asked for again soon") {
    guest g(20'000, 30'000);
    g.live(0.01);
    while (!g.is_together())
        g.live(0.001);
    g.chooser.not_possible(g.now());
    CHECK(g.live(3.1) < 0.1); // the round that says so
    g.live(1);
    CHECK(g.is_together());
}
