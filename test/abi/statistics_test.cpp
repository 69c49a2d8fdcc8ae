// SPDX-License-Identifier: BSD-3-Clause
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "c_world.hpp"

using namespace uffdmm::test;

namespace {

/// A snapshot of a manager that has swapped, and is gone.
class past {
  public:
    past() {
        c_world w(16 * mib);
        uffdmm_region* region = w.add(32 * mib);
        fill(region, 1);
        REQUIRE(wrong_pages(region, 1) == 0);
        REQUIRE(uffdmm_manager_wait_idle(w, 60'000) == 0); // sums are from one instant then
        REQUIRE(uffdmm_manager_snapshot(w, &snapshot_) == 0);
    }
    past(const past&) = delete;
    past& operator=(const past&) = delete;
    ~past() { uffdmm_snapshot_free(snapshot_); }
    [[nodiscard]] operator uffdmm_snapshot*() const { return snapshot_; }

  private:
    uffdmm_snapshot* snapshot_ = nullptr;
};

} // namespace

TEST_CASE("abi: a snapshot outlives its manager and adds up") {
    const past p;
    uffdmm_stats s;
    s.struct_size = sizeof s;
    REQUIRE(uffdmm_snapshot_stats(p, &s) == 0);
    CHECK(s.limit_bytes == 16 * mib);
    CHECK(s.region_bytes == 32 * mib);
    CHECK(s.host_memory_bytes ==
          s.resident_bytes + s.staged_bytes + s.compressed_bytes + s.metadata_bytes);
    CHECK(s.peak_host_memory_bytes > 0);
    CHECK(s.peak_host_memory_bytes <= s.limit_bytes + 8 * mib);
    CHECK(s.faults > 0);
    CHECK(std::accumulate(s.faults_by_resolution, s.faults_by_resolution + UFFDMM_RESOLUTIONS,
                          uint64_t{0}) <= s.faults);
    CHECK(s.faults_by_resolution[UFFDMM_RESOLUTION_ZERO] > 0);
    CHECK(s.faults_by_resolution[15] == 0);
    CHECK(s.tier_count == 2);
}

TEST_CASE("abi: statistics are written only as far as an older program's struct goes") {
    c_world w(16 * mib);
    uffdmm_stats s;
    std::memset(&s, 0x55, sizeof s);
    s.struct_size = offsetof(uffdmm_stats, region_bytes);
    REQUIRE(uffdmm_manager_stats(w, &s) == 0);
    CHECK(s.limit_bytes == 16 * mib);
    CHECK(s.region_bytes == 0x5555555555555555);
    s.struct_size = 0;
    CHECK(uffdmm_manager_stats(w, &s) == -EINVAL);
    CHECK(says("stats.struct_size: 0"));
    CHECK(uffdmm_manager_stats(w, nullptr) == -EINVAL);
    CHECK(uffdmm_manager_stats(nullptr, &s) == -EINVAL);
}

TEST_CASE("abi: tiers have their statistics in chain order") {
    const past p;
    uffdmm_tier_stats t;
    t.struct_size = sizeof t;
    REQUIRE(uffdmm_snapshot_tier(p, 0, &t) == 0);
    CHECK(std::string(t.name) == "same-filled");
    REQUIRE(uffdmm_snapshot_tier(p, 1, &t) == 0);
    CHECK(std::string(t.name) == "ram");
    CHECK(t.writes > 0);
    CHECK(t.degraded == 0);
    CHECK(uffdmm_snapshot_tier(p, 2, &t) == -ENOENT);
    CHECK(says("there is no tier 2; allowed: less than 2"));
    CHECK(uffdmm_snapshot_tier(p, 0, nullptr) == -EINVAL);
    CHECK(uffdmm_snapshot_tier(nullptr, 0, &t) == -EINVAL);
}

TEST_CASE("abi: latencies grow with the quantile, which lies above 0 and up to 1") {
    const past p;
    uint64_t median = 0;
    uint64_t highest = 0;
    REQUIRE(uffdmm_snapshot_latency(p, UFFDMM_ANY_RESOLUTION, 0.5, &median) == 0);
    REQUIRE(uffdmm_snapshot_latency(p, UFFDMM_ANY_RESOLUTION, 1, &highest) == 0);
    CHECK(median > 0);
    CHECK(highest >= median);
    for (const double wrong : {0.0, -1.0, 1.5, std::nan("")}) {
        CHECK(uffdmm_snapshot_latency(p, UFFDMM_ANY_RESOLUTION, wrong, &median) == -EINVAL);
        CHECK(says("quantile"));
    }
    CHECK(uffdmm_snapshot_latency(p, UFFDMM_RESOLUTIONS, 0.5, &median) == -EINVAL);
    CHECK(says("resolution: 9"));
    CHECK(uffdmm_snapshot_latency(p, -2, 0.5, &median) == -EINVAL);
    CHECK(uffdmm_snapshot_latency(p, 0, 0.5, nullptr) == -EINVAL);
}

TEST_CASE("abi: the histogram of all faults is the sum of those by kind") {
    const past p;
    std::vector<uint64_t> all(UFFDMM_HISTOGRAM_BUCKETS + 3, 99);
    uint64_t sum_of_all = 0;
    REQUIRE(uffdmm_snapshot_histogram(p, UFFDMM_ANY_RESOLUTION, all.data(), all.size(),
                                      &sum_of_all) == 0);
    CHECK(all[UFFDMM_HISTOGRAM_BUCKETS] == 0);
    std::vector<uint64_t> by_kind(all.size(), 0);
    uint64_t sum_by_kind = 0;
    for (int kind = 0; kind < UFFDMM_RESOLUTIONS; ++kind) {
        std::vector<uint64_t> counts(all.size());
        uint64_t sum = 0;
        REQUIRE(uffdmm_snapshot_histogram(p, kind, counts.data(), counts.size(), &sum) == 0);
        sum_by_kind += sum;
        for (std::size_t i = 0; i < counts.size(); ++i)
            by_kind[i] += counts[i];
    }
    CHECK(all == by_kind);
    CHECK(sum_of_all == sum_by_kind);
    CHECK(sum_of_all > 0);
    CHECK(uffdmm_snapshot_histogram(p, 0, nullptr, 4, nullptr) == -EINVAL);
    CHECK(uffdmm_snapshot_histogram(p, 0, nullptr, 0, &sum_of_all) == 0);
}

TEST_CASE("abi: bucket edges grow up to the end of time") {
    for (std::size_t i = 1; i < UFFDMM_HISTOGRAM_BUCKETS; ++i)
        CHECK(uffdmm_histogram_upper_edge(i) > uffdmm_histogram_upper_edge(i - 1));
    CHECK(uffdmm_histogram_upper_edge(UFFDMM_HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
    CHECK(uffdmm_histogram_upper_edge(SIZE_MAX) == UINT64_MAX);
}

TEST_CASE("abi: a snapshot as JSON names what the structs name") {
    const past p;
    char* text = nullptr;
    REQUIRE(uffdmm_snapshot_json(p, &text) == 0);
    const std::string json = text;
    uffdmm_free(text);
    CHECK(json.front() == '{');
    CHECK(json.back() == '}');
    CHECK(json.find("\"peak_host_memory_bytes\"") != std::string::npos);
    CHECK(json.find("same-filled") != std::string::npos);
    CHECK(uffdmm_snapshot_json(p, nullptr) == -EINVAL);
    CHECK(uffdmm_snapshot_json(nullptr, &text) == -EINVAL);
}

TEST_CASE("abi: a kind of resolution that is none is called unknown") {
    CHECK(std::string(uffdmm_resolution_name(UFFDMM_RESOLUTION_MINOR)) == "minor");
    CHECK(std::string(uffdmm_resolution_name(UFFDMM_ANY_RESOLUTION)) == "unknown");
    CHECK(std::string(uffdmm_resolution_name(UFFDMM_RESOLUTIONS)) == "unknown");
}
