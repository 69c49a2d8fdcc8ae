// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/engine/histogram.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/seed.hpp"

namespace {

using namespace uffdmm;

TEST_CASE("counter: counts up, down and by steps") {
    std::array<counter, 2> counts;
    ++counts[0];
    ++counts[0];
    counts[0] += 10;
    --counts[0];
    counts[0] -= 4;
    REQUIRE(counts[0].load() == 7);
    REQUIRE(counts[1].load() == 0);
    counts[1].set(5);
    REQUIRE(counts[1].load() == 5);
}

TEST_CASE("counter: a reader sees only values the writer wrote, never going back") {
    counter count;
    std::atomic<bool> done{false};
    constexpr std::uint64_t last = 200'000;
    std::thread writer([&] {
        for (std::uint64_t i = 0; i < last; ++i)
            ++count;
        done.store(true, std::memory_order_release);
    });
    std::uint64_t before = 0;
    bool ordered = true;
    while (!done.load(std::memory_order_acquire)) {
        const std::uint64_t now = count.load();
        ordered = ordered && now >= before && now <= last;
        before = now;
    }
    writer.join();
    REQUIRE(ordered);
    REQUIRE(count.load() == last);
}

TEST_CASE("histogram: buckets cover everything without gap or overlap") {
    std::uint64_t next = 0; // smallest value above the previous bucket
    for (unsigned bucket = 0; bucket < histogram::buckets; ++bucket) {
        const std::uint64_t edge = histogram::upper_edge(bucket);
        INFO("bucket " << bucket << " from " << next << " to " << edge);
        REQUIRE(edge >= next);
        REQUIRE(histogram::bucket_of(next) == bucket);
        REQUIRE(histogram::bucket_of(edge) == bucket);
        REQUIRE(histogram::bucket_of(next + (edge - next) / 2) == bucket);
        if (bucket + 1 < histogram::buckets)
            REQUIRE(edge - next <= next / 8); // the promised 12.5 %
        next = edge + 1;
    }
    REQUIRE(next == 0); // the last edge is the largest value there is
}

TEST_CASE("histogram: edges are where eight buckets per power of two put them") {
    REQUIRE(histogram::bucket_of(0) == 0);
    REQUIRE(histogram::bucket_of(7) == 7);
    REQUIRE(histogram::bucket_of(8) == 8);
    REQUIRE(histogram::bucket_of(15) == 15);
    REQUIRE(histogram::bucket_of(16) == 16);
    REQUIRE(histogram::bucket_of(17) == 16);
    REQUIRE(histogram::bucket_of(18) == 17);
    REQUIRE(histogram::upper_edge(16) == 17);
    REQUIRE(histogram::bucket_of(1024) == 64);
    REQUIRE(histogram::upper_edge(64) == 1151);
    REQUIRE(histogram::bucket_of(UINT64_MAX) == histogram::buckets - 1);
}

TEST_CASE("histogram: percentiles are within 12.5 % of the exact ones") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(test::seed());
    std::lognormal_distribution<double> latency(9, 2);
    const auto h = std::make_unique<histogram>();
    std::vector<std::uint64_t> values;
    std::uint64_t sum = 0;
    for (int i = 0; i < 20'000; ++i) {
        values.push_back(static_cast<std::uint64_t>(latency(random)));
        h->record(values.back());
        sum += values.back();
    }
    std::sort(values.begin(), values.end());
    const histogram_snapshot shot = h->snapshot();
    REQUIRE(shot.count() == values.size());
    REQUIRE(shot.sum_ns == sum);
    REQUIRE(std::abs(shot.mean() - static_cast<double>(sum) / 20'000) < 0.001);
    for (const double p : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
        INFO("p " << p);
        const auto rank = static_cast<std::size_t>(std::ceil(p * 20'000));
        const std::uint64_t exact = values[rank - 1];
        const std::uint64_t got = shot.percentile(p);
        REQUIRE(got >= exact);
        REQUIRE(static_cast<double>(got) <= 1.125 * static_cast<double>(exact));
    }
}

TEST_CASE("histogram: an empty one has no percentile and no mean") {
    const histogram_snapshot empty;
    REQUIRE(empty.count() == 0);
    REQUIRE(empty.percentile(0.5) == 0);
    REQUIRE(empty.mean() == 0);
}

TEST_CASE("histogram: one value is every percentile") {
    histogram h;
    h.record(5);
    for (const double p : {0.0, 1e-9, 0.5, 1.0})
        REQUIRE(h.snapshot().percentile(p) == 5);
}

TEST_CASE("histogram: merging is the same as recording both") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(test::seed());
    histogram a;
    histogram b;
    histogram both;
    for (int i = 0; i < 5000; ++i) {
        const std::uint64_t value = random() >> (random() % 64);
        (i % 3 == 0 ? a : b).record(value);
        both.record(value);
    }
    histogram_snapshot merged = a.snapshot();
    merged.merge(b.snapshot());
    REQUIRE(merged.counts == both.snapshot().counts);
    REQUIRE(merged.sum_ns == both.snapshot().sum_ns);
}

TEST_CASE("stats: every resolution has a name of its own") {
    std::set<std::string> names;
    for (unsigned i = 0; i < resolutions; ++i)
        names.insert(to_string(static_cast<resolution>(i)));
    REQUIRE(names.size() == resolutions);
    REQUIRE(names.count("unknown") == 0);
}

} // namespace
