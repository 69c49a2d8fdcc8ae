// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/stats_json.hpp"

#include <set>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"

namespace uffdmm {
namespace {

using nlohmann::json;

TEST_CASE("stats json: an empty report is whole") {
    const json out = json::parse(to_json(stats{}));
    CHECK(out.at("limit_bytes") == 0);
    CHECK(out.at("faults_by_resolution").size() == resolutions);
    CHECK(out.at("fault_latency").empty());
    CHECK(out.at("tiers").empty());
}

TEST_CASE("stats json: counters, kinds of fault and tiers appear under their names") {
    stats s;
    s.faults = 3;
    s.metadata_bytes_per_page = 15.5;
    s.peak_host_memory_bytes = UINT64_MAX;
    s.faults_by_resolution[static_cast<unsigned>(resolution::staged)] = 2;
    s.fault_latency[static_cast<unsigned>(resolution::staged)].counts[5] = 2;
    s.fault_latency[static_cast<unsigned>(resolution::staged)].sum_ns = 10;
    s.tiers.resize(1);
    s.tiers[0].name = "bad \xff name";
    s.tiers[0].write_errors = 7;
    s.tiers[0].degraded = true;
    const json out = json::parse(to_json(s));
    CHECK(out.at("faults") == 3);
    CHECK(out.at("metadata_bytes_per_page") == 15.5);
    CHECK(out.at("peak_host_memory_bytes") == UINT64_MAX);
    CHECK(out.at("faults_by_resolution").at("staged") == 2);
    CHECK(out.at("fault_latency").size() == 1);
    CHECK(out.at("fault_latency").at("staged").at("p99") == 5);
    CHECK(out.at("fault_latency").at("staged").at("mean") == 5);
    CHECK(out.at("tiers").at(0).at("write_errors") == 7);
    CHECK(out.at("tiers").at(0).at("degraded") == true);
}

} // namespace
} // namespace uffdmm
