// SPDX-License-Identifier: BSD-3-Clause
/// What each policy promises beyond the model: which page stays.

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "policy/simulated_cache.hpp"
#include "support/catch.hpp"
#include "support/seed.hpp"
#include "uffdmm/policy/fifo.hpp"
#include "uffdmm/policy/s3fifo.hpp"
#include "uffdmm/policy/second_chance.hpp"

namespace {

using namespace uffdmm;
using test::simulated_cache;

template <typename Policy>
policy_factory factory() {
    return [](page_table& table) { return std::make_unique<Policy>(table); };
}

/// A policy with pages 0..n-1 installed in order.
template <typename Policy>
struct filled {
    explicit filled(page_count n, install_cause cause = install_cause::first_touch)
        : table(n + 100), policy(table) {
        for (std::uint32_t i = 0; i < n; ++i)
            install(i, cause);
    }
    void install(std::uint32_t page, install_cause cause, std::uint32_t distance = UINT32_MAX) {
        policy.installed({page}, cause, distance);
    }
    std::uint32_t evict() {
        const page_index victim = policy.next_victim();
        policy.removed(victim);
        return victim.value;
    }

    page_table table;
    Policy policy;
};

TEST_CASE("fifo: pages leave in the order they came, however they came") {
    filled<fifo_policy> f(3);
    f.install(3, install_cause::take_back, 1);
    REQUIRE_FALSE(f.policy.keep({3}));
    for (std::uint32_t i = 0; i < 4; ++i)
        REQUIRE(f.evict() == i);
}

TEST_CASE("second chance: a page that was taken back survives one round, and only one") {
    filled<second_chance_policy> f(1, install_cause::take_back);
    f.install(1, install_cause::first_touch);
    f.install(2, install_cause::swap_in, 5);
    REQUIRE(f.evict() == 1);
    REQUIRE(f.evict() == 2);
    REQUIRE(f.evict() == 0);
}

TEST_CASE("second chance: as a neighbour a taken-back page is kept once") {
    filled<second_chance_policy> f(2, install_cause::take_back);
    f.install(2, install_cause::first_touch);
    REQUIRE(f.policy.keep({0}));
    REQUIRE_FALSE(f.policy.keep({0}));
    REQUIRE_FALSE(f.policy.keep({2}));
}

TEST_CASE("second chance: a chance is not inherited by the next stay") {
    filled<second_chance_policy> f(1, install_cause::take_back);
    f.policy.removed({0});
    f.install(0, install_cause::swap_in, 1);
    REQUIRE_FALSE(f.policy.keep({0}));
}

TEST_CASE("s3fifo: a recent ghost goes to main, an old one and a first touch to small") {
    filled<s3fifo_policy> f(50); // small's share is 5, main's 45, of which three quarters are 34
    f.install(50, install_cause::swap_in, 35);
    REQUIRE(f.policy.small_size() == 51);
    f.install(51, install_cause::swap_in, 34);
    f.install(52, install_cause::take_back, 1);
    REQUIRE(f.policy.main_size() == 2);
}

TEST_CASE("s3fifo: prefetched pages and one-pass readers prove nothing") {
    page_table table(100);
    s3fifo_policy policy(table);
    policy.installed({0}, install_cause::prefetch, 1);
    policy.installed({1}, install_cause::one_pass, 1);
    REQUIRE(policy.small_size() == 2);
    REQUIRE_FALSE(policy.keep({0}));
    REQUIRE_FALSE(policy.keep({1}));
}

TEST_CASE("s3fifo: small is evicted first while it is over its share, then main") {
    filled<s3fifo_policy> f(20);
    for (std::uint32_t i = 20; i < 100; ++i)
        f.install(i, install_cause::swap_in, 1);
    // A tenth, and a little more for each of the 80 proofs.
    std::uint32_t small = 0;
    while (20 - small > (100 - small) * 12 / 100)
        REQUIRE(f.evict() == small++);
    REQUIRE(f.evict() == 20);
    REQUIRE(f.policy.small_size() == 20 - small);
    while (f.policy.size() != 0)
        (void)f.evict();
    REQUIRE(f.policy.next_victim() == no_page);
}

/// The pages that small is left with when `rounds` times a page left from where `bits` say, and
/// came back.
page_count small_after_returns(unsigned bits, unsigned rounds) {
    filled<s3fifo_policy> f(1000);
    for (std::uint32_t i = 1000; i < 1090; ++i)
        f.install(i, install_cause::swap_in, 1);
    for (unsigned i = 0; i < rounds; ++i) {
        f.policy.removed({1000});
        f.table[{1000}].set_policy_bits(bits);
        f.install(1000, install_cause::swap_in, 1);
    }
    while (f.policy.main_size() == 90)
        (void)f.evict();
    return f.policy.small_size();
}

TEST_CASE(
    "s3fifo: small gets more memory while pages return that left from it, main if from main") {
    constexpr unsigned from_small = 0;
    constexpr unsigned from_main = 4;
    const page_count usual = small_after_returns(from_small, 0);
    CHECK(small_after_returns(from_small, 500) > 2 * usual);
    CHECK(small_after_returns(from_main, 300) < usual);
    // Of the pages there are then; neither gets everything.
    CHECK(small_after_returns(from_small, 100'000) < 90);
    CHECK(small_after_returns(from_main, 100'000) >= 1);
}

TEST_CASE("s3fifo: a page taken back twice in a row is kept three times, once taken back once") {
    filled<s3fifo_policy> f(1, install_cause::take_back);
    REQUIRE(f.policy.keep({0}));
    REQUIRE_FALSE(f.policy.keep({0}));
    f.policy.removed({0});
    f.install(0, install_cause::take_back, 1);
    for (int i = 0; i < 3; ++i)
        REQUIRE(f.policy.keep({0}));
    REQUIRE_FALSE(f.policy.keep({0}));
    // A stay that began otherwise breaks the row.
    f.policy.removed({0});
    f.install(0, install_cause::swap_in, 1);
    f.policy.removed({0});
    f.install(0, install_cause::take_back, 1);
    REQUIRE(f.policy.keep({0}));
    REQUIRE_FALSE(f.policy.keep({0}));
}

TEST_CASE("s3fifo: a victim is passed over three times if it was taken back twice, once if once") {
    for (const unsigned takes : {1u, 2u}) {
        filled<s3fifo_policy> f(1, install_cause::take_back);
        for (unsigned i = 1; i < takes; ++i) {
            f.policy.removed({0});
            f.install(0, install_cause::take_back, 1);
        }
        unsigned passed_over = 0;
        for (f.install(1, install_cause::swap_in, 1); f.evict() != 0; ++passed_over)
            f.install(1, install_cause::swap_in, 1);
        REQUIRE(passed_over == (takes == 1 ? 1 : 3));
    }
}

/// Pages of `hot` still in memory after a scan of pages that were never touched before.
template <typename Policy>
page_count hot_pages_after_scan(page_count cluster) {
    constexpr page_count hot = 600;
    simulated_cache cache(factory<Policy>(), {40'000, 1000, 120, cluster});
    std::mt19937_64 random(test::seed());
    std::uint32_t cold = hot;
    for (int i = 0; i < 40'000; ++i) {
        cache.touch({static_cast<std::uint32_t>(random() % hot)});
        if (i % 8 == 0)
            cache.touch({cold++});
    }
    for (std::uint32_t i = 0; i < 20'000; ++i)
        cache.touch({cold++});
    page_count left = 0;
    for (std::uint32_t i = 0; i < hot; ++i)
        left += cache.in_memory({i}) ? 1 : 0;
    return left;
}

TEST_CASE("s3fifo: a scan does not push out a hot set") {
    UFFDMM_INFO_SEED();
    for (const page_count cluster : {1u, 64u}) {
        INFO("cluster " << cluster);
        REQUIRE(hot_pages_after_scan<s3fifo_policy>(cluster) > 500);
        REQUIRE(hot_pages_after_scan<fifo_policy>(cluster) == 0);
    }
}

class zipf {
  public:
    explicit zipf(std::size_t n) {
        double sum = 0;
        for (std::size_t i = 0; i < n; ++i)
            cumulated_.push_back(sum += std::pow(static_cast<double>(i + 1), -0.99));
    }
    template <typename Random>
    std::uint32_t operator()(Random& random) const {
        std::uniform_real_distribution<double> uniform(0, cumulated_.back());
        const auto it = std::lower_bound(cumulated_.begin(), cumulated_.end(), uniform(random));
        return static_cast<std::uint32_t>(it - cumulated_.begin());
    }

  private:
    std::vector<double> cumulated_;
};

/// Zipf over shuffled pages; every fourth touch belongs to a loop over all of them.
template <typename Policy>
double miss_ratio(page_count cluster) {
    constexpr page_count pages = 8192;
    simulated_cache cache(factory<Policy>(), {pages, 1800, 240, cluster});
    std::mt19937_64 random(test::seed());
    const zipf draw(pages);
    std::vector<std::uint32_t> shuffled(pages);
    for (std::uint32_t i = 0; i < pages; ++i)
        shuffled[i] = i;
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    std::uint32_t scan = 0;
    for (int i = 0; i < 300'000; ++i) {
        if (i == 100'000)
            cache.forget_counts();
        cache.touch({i % 4 == 0 ? scan++ % pages : shuffled[draw(random)]});
    }
    return cache.miss_ratio();
}

TEST_CASE("s3fifo: misses no more than fifo and second chance on zipf with a scan") {
    UFFDMM_INFO_SEED();
    for (const page_count cluster : {1u, 64u}) {
        INFO("cluster " << cluster);
        const double s3 = miss_ratio<s3fifo_policy>(cluster);
        const double second = miss_ratio<second_chance_policy>(cluster);
        REQUIRE(s3 < second);
        REQUIRE(second <= miss_ratio<fifo_policy>(cluster));
    }
}

} // namespace
