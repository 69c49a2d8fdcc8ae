// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "overcommit/access_pattern.hpp"
#include "overcommit/zipf.hpp"
#include "support/catch.hpp"
#include "support/seed.hpp"

namespace overcommit {
namespace {

using namespace std::chrono_literals;

pattern_plan plan_of(pattern_kind kind, uffdmm::page_count pages) {
    pattern_plan plan;
    plan.kind = kind;
    plan.pages = pages;
    plan.seed = uffdmm::test::seed();
    plan.phase = 1s;
    return plan;
}

std::vector<unsigned> touches_per_page(const pattern_plan& plan, unsigned touches) {
    const auto pattern = make_pattern(plan, 0, 1);
    std::vector<unsigned> counts(plan.pages);
    for (unsigned i = 0; i < touches; ++i)
        ++counts.at(pattern->next(0ns));
    return counts;
}

TEST_CASE("overcommit: zipf ranks have the weights of the formula", "[overcommit]") {
    UFFDMM_INFO_SEED();
    for (double skew : {0.5, 0.99, 1.0, 1.3}) {
        constexpr unsigned ranks = 1000;
        constexpr unsigned samples = 400'000;
        const zipf_distribution zipf(ranks, skew);
        random_source random(uffdmm::test::seed());
        std::vector<unsigned> counts(ranks + 1);
        for (unsigned i = 0; i < samples; ++i)
            ++counts.at(zipf.sample(random));
        CHECK(counts[0] == 0);
        double sum = 0;
        for (unsigned k = 1; k <= ranks; ++k)
            sum += std::pow(k, -skew);
        for (unsigned k : {1u, 2u, 3u, 10u, 100u}) {
            const double expected = samples * std::pow(k, -skew) / sum;
            INFO("skew " << skew << ", rank " << k << ", expected " << expected);
            CHECK(std::abs(counts[k] - expected) < 6 * std::sqrt(expected));
        }
    }
}

TEST_CASE("overcommit: every pattern stays inside the region", "[overcommit]") {
    UFFDMM_INFO_SEED();
    for (std::size_t kind = 0; kind < pattern_names.size(); ++kind)
        for (uffdmm::page_count pages : {1u, 2u, 7u, 1000u}) {
            const auto pattern =
                make_pattern(plan_of(static_cast<pattern_kind>(kind), pages), 1, 3);
            for (unsigned i = 0; i < 5000; ++i)
                REQUIRE(pattern->next(i * 1ms) < pages);
        }
}

TEST_CASE("overcommit: sequential and stride touch every page once a round", "[overcommit]") {
    for (pattern_kind kind : {pattern_kind::sequential, pattern_kind::stride}) {
        const auto counts = touches_per_page(plan_of(kind, 1024), 1024);
        CHECK(std::all_of(counts.begin(), counts.end(), [](unsigned n) { return n == 1; }));
    }
}

TEST_CASE("overcommit: zipf takes most touches to few pages, scattered over the region",
          "[overcommit]") {
    UFFDMM_INFO_SEED();
    auto counts = touches_per_page(plan_of(pattern_kind::zipf, 10'000), 100'000);
    const auto hottest = std::max_element(counts.begin(), counts.end());
    const auto second = std::max_element(hottest + 1, counts.end());
    CHECK(std::abs(hottest - second) > 100);
    std::sort(counts.rbegin(), counts.rend());
    CHECK(std::accumulate(counts.begin(), counts.begin() + 1000, 0u) > 60'000);
}

TEST_CASE("overcommit: a phase stays within its working set, and the next has another",
          "[overcommit]") {
    UFFDMM_INFO_SEED();
    const auto pattern = make_pattern(plan_of(pattern_kind::phases, 10'000), 0, 1);
    std::set<std::uint64_t> first;
    std::set<std::uint64_t> second;
    for (unsigned i = 0; i < 20'000; ++i)
        first.insert(pattern->next(500ms));
    for (unsigned i = 0; i < 20'000; ++i)
        second.insert(pattern->next(1500ms));
    CHECK(first.size() <= 2000);
    CHECK(first.size() > 1900);
    CHECK(first != second);
}

TEST_CASE("overcommit: threads of one plan agree on what is hot", "[overcommit]") {
    UFFDMM_INFO_SEED();
    const auto plan = plan_of(pattern_kind::zipf, 10'000);
    const auto hottest = [&](unsigned thread) {
        const auto pattern = make_pattern(plan, thread, 2);
        std::vector<unsigned> counts(plan.pages);
        for (unsigned i = 0; i < 50'000; ++i)
            ++counts.at(pattern->next(0ns));
        return std::max_element(counts.begin(), counts.end()) - counts.begin();
    };
    CHECK(hottest(0) == hottest(1));
}

} // namespace
} // namespace overcommit
