// SPDX-License-Identifier: BSD-3-Clause

/// The simulator behind the table of policies in bench/RESULTS.md.

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include "policy_sim/engine_model.hpp"
#include "policy_sim/reference.hpp"
#include "policy_sim/trace.hpp"
#include "registry/registry.hpp"
#include "support/catch.hpp"
#include "support/seed.hpp"
#include "uffdmm/config.hpp"

namespace {

using namespace policy_sim;
using namespace uffdmm;

using page_numbers = std::vector<std::uint32_t>;

/// The fewest misses of any order of evictions, by trying all.
std::uint64_t fewest_misses(const page_numbers& touches, std::size_t at, page_numbers memory,
                            std::size_t capacity) {
    if (at == touches.size())
        return 0;
    if (std::ranges::find(memory, touches[at]) != memory.end())
        return fewest_misses(touches, at + 1, std::move(memory), capacity);
    if (memory.size() < capacity) {
        memory.push_back(touches[at]);
        return 1 + fewest_misses(touches, at + 1, std::move(memory), capacity);
    }
    std::uint64_t fewest = UINT64_MAX;
    for (std::uint32_t& victim : memory) {
        const std::uint32_t kept = std::exchange(victim, touches[at]);
        fewest = std::min(fewest, 1 + fewest_misses(touches, at + 1, memory, capacity));
        victim = kept;
    }
    return fewest;
}

page_numbers random_touches(std::mt19937_64& random, std::size_t n, std::uint32_t pages) {
    page_numbers touches(n);
    std::ranges::generate(touches, [&] { return static_cast<std::uint32_t>(random() % pages); });
    return touches;
}

TEST_CASE("policy_sim: no order of evictions misses less than the optimum") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(test::seed());
    for (int i = 0; i < 200; ++i) {
        const page_numbers touches = random_touches(random, 12, 5);
        REQUIRE(optimal_misses(touches, 0, 5, 3) == fewest_misses(touches, 0, {}, 3));
    }
}

TEST_CASE("policy_sim: LRU misses everything in a loop one page too long, the optimum does not") {
    page_numbers touches;
    for (std::uint32_t i = 0; i < 1000; ++i)
        touches.push_back(i % 11);
    CHECK(lru_misses(touches, 0, 11, 10) == 1000);
    CHECK(lru_misses(touches, 0, 11, 11) == 11);
    CHECK(optimal_misses(touches, 0, 11, 10) < 120);
    CHECK(lru_misses(touches, 990, 11, 10) == 10);
}

TEST_CASE("policy_sim: the model never holds more than its capacity, and counts every touch") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(test::seed());
    const std::string policy(GENERATE(from_range(policy_names().begin(), policy_names().end())));
    constexpr page_count pages = 8192;
    engine_model model(find_policy(policy), pages, pages / 4);
    for (const std::uint32_t page : random_touches(random, 100'000, pages)) {
        model.touch({page});
        REQUIRE(model.in_memory() <= pages / 4);
    }
    const figures& f = model.seen();
    CHECK(f.touches == 100'000);
    CHECK(f.misses + f.take_backs < f.touches);
    CHECK(f.evicted >= f.flushes);
    CHECK(f.misses + f.take_backs - f.evicted <= pages / 4); // what came in left or is there
}

TEST_CASE("policy_sim: no policy beats the optimum, and what fits in memory never misses") {
    const std::string policy(GENERATE(from_range(policy_names().begin(), policy_names().end())));
    const std::string name(GENERATE(from_range(trace_names().begin(), trace_names().end())));
    const trace t = make_trace(name, {4096, 40'000, 1});
    for (const page_count capacity : {1024u, 8192u}) {
        engine_model model(find_policy(policy), t.pages, capacity);
        for (const std::uint32_t page : t.touches) {
            REQUIRE(page < t.pages);
            model.touch({page});
        }
        CHECK(model.seen().misses >= optimal_misses(t.touches, 0, t.pages, capacity));
        if (capacity >= 2 * t.pages)
            CHECK(model.seen().take_backs == 0);
    }
}

/// The criterion by which the default is chosen. LRU sees every touch; it is no policy here.
TEST_CASE("policy_sim: the default's hit ratio is within 10 % of the best policy's") {
    const std::string name(GENERATE(from_range(trace_names().begin(), trace_names().end())));
    const page_count overcommit = GENERATE(2u, 4u);
    const unsigned staged_percent = GENERATE(3u, 12u); // the defaults before RAM, and a disk
    const trace t = make_trace(name, {16'384, 500'000, 1});
    const auto hit_ratio = [&](std::string_view policy) {
        engine_model model(find_policy(policy), t.pages, t.pages / overcommit, {staged_percent});
        for (const std::uint32_t page : t.touches)
            model.touch({page});
        return model.seen().hit_ratio();
    };
    double best = 0;
    for (const std::string_view policy : policy_names())
        best = std::max(best, hit_ratio(policy));
    CHECK(hit_ratio(region_config{}.policy) >= 0.9 * best);
}

TEST_CASE("policy_sim: a trace file has a page number a line, and anything else is refused") {
    const std::string path = "/tmp/uffdmm-trace-" + std::to_string(::getpid());
    std::ofstream(path) << "3\n0\n7\n";
    const trace t = read_trace(path);
    CHECK(t.pages == 8);
    CHECK(t.touches == page_numbers{3, 0, 7});
    std::ofstream(path) << "3\nx\n";
    CHECK_THROWS_WITH(read_trace(path), Catch::Contains(":2: not a page number"));
    (void)std::remove(path.c_str());
    CHECK_THROWS_WITH(read_trace(path), Catch::Contains("no page numbers"));
    CHECK_THROWS_WITH(make_trace("nonsense", {4096, 1, 1}), Catch::Contains("zipf"));
}

} // namespace
