// SPDX-License-Identifier: BSD-3-Clause
#include <string>

#include "overcommit/limit_promise.hpp"
#include "overcommit/report.hpp"
#include "overcommit/text.hpp"
#include "support/catch.hpp"

namespace overcommit {
namespace {

constexpr uffdmm::byte_count mebibyte = 1024 * 1024;

TEST_CASE("overcommit: the limit may be exceeded by 2 % or 8 MiB, and by no byte more",
          "[overcommit]") {
    const limit_promise small(100 * mebibyte);
    CHECK(small.excess([] { return 108 * mebibyte; }) == 0);
    CHECK(small.excess([] { return 108 * mebibyte + 1; }) == 8 * mebibyte + 1);
    const limit_promise large(1000 * mebibyte);
    CHECK(large.excess([] { return 1020 * mebibyte; }) == 0);
    CHECK(large.excess([] { return 1021 * mebibyte; }) == 21 * mebibyte);
}

TEST_CASE("overcommit: a sample is held against the limit before and after it was taken",
          "[overcommit]") {
    limit_promise promise(100 * mebibyte);
    const auto raised_meanwhile = promise.excess([&] {
        promise.allow(200 * mebibyte);
        return 150 * mebibyte;
    });
    CHECK(raised_meanwhile == 0);
    const auto lowered_meanwhile = promise.excess([&] {
        promise.allow(100 * mebibyte);
        return 150 * mebibyte;
    });
    CHECK(lowered_meanwhile == 0);
    CHECK(promise.excess([] { return 150 * mebibyte; }) == 50 * mebibyte);
}

TEST_CASE("overcommit: a report is good only without corruption, failed calls and excess",
          "[overcommit]") {
    CHECK(report{}.good());
    report corrupt;
    corrupt.corrupt_pages = 1;
    CHECK_FALSE(corrupt.good());
    report failed;
    failed.failed_calls = 1;
    CHECK_FALSE(failed.good());
    report over;
    over.observed_excess = 1;
    CHECK_FALSE(over.good());
    CHECK(to_text(over).find("BROKEN") != std::string::npos);
    CHECK(to_text(corrupt).find("1 CORRUPT PAGES") != std::string::npos);
}

TEST_CASE("overcommit: counters of a report are those of the run", "[overcommit]") {
    uffdmm::stats before;
    before.faults = 100;
    before.resident_bytes = 5;
    before.fault_latency[0].counts[3] = 2;
    before.tiers.resize(1);
    before.tiers[0].reads = 7;
    uffdmm::stats after = before;
    after.faults = 130;
    after.resident_bytes = 4;
    after.fault_latency[0].counts[3] = 9;
    after.tiers[0].reads = 10;
    const uffdmm::stats run = between(before, after);
    CHECK(run.faults == 30);
    CHECK(run.resident_bytes == 4);
    CHECK(run.fault_latency[0].counts[3] == 7);
    CHECK(run.tiers[0].reads == 3);
}

TEST_CASE("overcommit: numbers are shown with three digits and a unit", "[overcommit]") {
    CHECK(bytes_text(0) == "0 B");
    CHECK(bytes_text(256 * mebibyte) == "256 MiB");
    CHECK(bytes_text(1536 * mebibyte) == "1.50 GiB");
    CHECK(count_text(812) == "812");
    CHECK(count_text(41'300) == "41.3 k");
    CHECK(count_text(999'900) == "1.00 M");
    CHECK(time_text(39'210) == "39.2 us");
    CHECK(time_text(85) == "85 ns");
}

} // namespace
} // namespace overcommit
