// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/engine/same_filled.hpp"

#include <array>
#include <cstddef>
#include <random>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "uffdmm/engine/cost_chooser.hpp"

namespace {

using namespace uffdmm;

alignas(page_size) std::array<std::byte, page_size> page;

TEST_CASE("same-filled: a page of one word is found, and rebuilt from it") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(test::seed());
    for (const std::uint64_t pattern : {std::uint64_t{0}, UINT64_MAX, random(), random()}) {
        fill_with_pattern(page.data(), pattern);
        const auto found = fill_pattern_of(page.data());
        REQUIRE(found.has_value());
        REQUIRE(*found == pattern);
    }
}

TEST_CASE("same-filled: one different byte anywhere, and the page is not same-filled") {
    fill_with_pattern(page.data(), 0x0101'0101'0101'0101u);
    for (std::byte& b : page) {
        b = std::byte{2};
        REQUIRE_FALSE(fill_pattern_of(page.data()).has_value());
        b = std::byte{1};
    }
    REQUIRE(fill_pattern_of(page.data()).has_value());
}

TEST_CASE("same-filled: a pattern longer than a word is not one") {
    fill_with_pattern(page.data(), 7);
    for (std::size_t i = 0; i < page_size; i += 16)
        page[i] = std::byte{9};
    REQUIRE_FALSE(fill_pattern_of(page.data()).has_value());
}

TEST_CASE("cost_chooser: settles on the cheaper way, and still tries the other") {
    for (const unsigned cheap : {0u, 1u}) {
        cost_chooser chooser(1);
        unsigned dear_uses = 0;
        for (int i = 0; i < 1000; ++i) {
            const unsigned way = chooser.choose();
            dear_uses += way != cheap ? 1 : 0;
            chooser.learn(way, way == cheap ? 2'000 : 10'000);
        }
        REQUIRE(dear_uses > 0);
        REQUIRE(dear_uses < 100);
    }
}

TEST_CASE("cost_chooser: changes its mind when the costs change") {
    cost_chooser chooser(1);
    const auto run = [&](std::uint64_t cost_0, std::uint64_t cost_1) {
        unsigned ones = 0;
        for (int i = 0; i < 4000; ++i) {
            const unsigned way = chooser.choose();
            chooser.learn(way, way == 0 ? cost_0 : cost_1);
            ones += i >= 3000 ? way : 0;
        }
        return ones;
    };
    REQUIRE(run(1'000, 9'000) < 100);
    REQUIRE(run(9'000, 1'000) > 900);
}

TEST_CASE("cost_chooser: one preempted use does not turn it round") {
    cost_chooser chooser(1);
    for (int i = 0; i < 200; ++i) {
        const unsigned way = chooser.choose();
        chooser.learn(way, way == 0 ? 2'000 : 20'000);
    }
    chooser.learn(0, 50'000'000);
    REQUIRE(chooser.average_ns(0) < 20'000);
}

TEST_CASE("cost_chooser: with a single way there is no choice") {
    cost_chooser chooser(0);
    chooser.learn(0, 1'000'000);
    for (int i = 0; i < 200; ++i)
        REQUIRE(chooser.choose() == 0);
}

} // namespace
