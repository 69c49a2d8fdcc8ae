// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/stats_json.hpp"

#include <array>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace uffdmm {
namespace {

using json = nlohmann::ordered_json;

template <typename Object>
struct counter_field {
    std::string_view name;
    std::uint64_t Object::*member;
};

constexpr std::array<counter_field<stats>, 33> counters{{
    {"limit_bytes", &stats::limit_bytes},
    {"region_bytes", &stats::region_bytes},
    {"host_memory_bytes", &stats::host_memory_bytes},
    {"peak_host_memory_bytes", &stats::peak_host_memory_bytes},
    {"resident_bytes", &stats::resident_bytes},
    {"staged_bytes", &stats::staged_bytes},
    {"compressed_bytes", &stats::compressed_bytes},
    {"metadata_bytes", &stats::metadata_bytes},
    {"page_table_bytes", &stats::page_table_bytes},
    {"over_limit_bytes", &stats::over_limit_bytes},
    {"poisoned_pages", &stats::poisoned_pages},
    {"pinned_pages", &stats::pinned_pages},
    {"faults", &stats::faults},
    {"duplicate_faults", &stats::duplicate_faults},
    {"refaults", &stats::refaults},
    {"direct_reclaims", &stats::direct_reclaims},
    {"eagain_retries", &stats::eagain_retries},
    {"eexist_races", &stats::eexist_races},
    {"evicted_pages", &stats::evicted_pages},
    {"evict_ioctls", &stats::evict_ioctls},
    {"busy_pages", &stats::busy_pages},
    {"dropped_clean", &stats::dropped_clean},
    {"dropped_zero", &stats::dropped_zero},
    {"dropped_same_filled", &stats::dropped_same_filled},
    {"swapped_out", &stats::swapped_out},
    {"frame_releases", &stats::frame_releases},
    {"discarded_pages", &stats::discarded_pages},
    {"prefetched_pages", &stats::prefetched_pages},
    {"prefetch_hits", &stats::prefetch_hits},
    {"prefetch_waste", &stats::prefetch_waste},
    {"huge_installs", &stats::huge_installs},
    {"one_pass_faults", &stats::one_pass_faults},
    {"migration_reads", &stats::migration_reads},
}};

constexpr std::array<counter_field<tier_stats>, 12> tier_counters{{
    {"pages", &tier_stats::pages},
    {"stored_bytes", &tier_stats::stored_bytes},
    {"occupied_bytes", &tier_stats::occupied_bytes},
    {"memory_bytes", &tier_stats::memory_bytes},
    {"capacity_bytes", &tier_stats::capacity_bytes},
    {"reads", &tier_stats::reads},
    {"writes", &tier_stats::writes},
    {"rejected", &tier_stats::rejected},
    {"demoted", &tier_stats::demoted},
    {"read_errors", &tier_stats::read_errors},
    {"write_errors", &tier_stats::write_errors},
    {"corrupt", &tier_stats::corrupt},
}};

template <typename Object, std::size_t N>
void write(const Object& object, const std::array<counter_field<Object>, N>& fields, json& out) {
    for (const auto& field : fields)
        out[std::string(field.name)] = object.*field.member;
}

json latency_of(const histogram_snapshot& histogram) {
    return {{"count", histogram.count()},        {"mean", histogram.mean()},
            {"p50", histogram.percentile(0.5)},  {"p90", histogram.percentile(0.9)},
            {"p99", histogram.percentile(0.99)}, {"p999", histogram.percentile(0.999)}};
}

json tier_of(const tier_stats& tier) {
    json out;
    out["name"] = tier.name;
    write(tier, tier_counters, out);
    out["degraded"] = tier.degraded;
    return out;
}

} // namespace

std::string to_json(const stats& statistics) {
    json out;
    write(statistics, counters, out);
    out["metadata_bytes_per_page"] = statistics.metadata_bytes_per_page;
    // Whole values are put in: an ordered object is a vector, whose elements move as it grows.
    json faults = json::object();
    json latency = json::object();
    for (unsigned i = 0; i < resolutions; ++i) {
        const std::string name = to_string(static_cast<resolution>(i));
        faults[name] = statistics.faults_by_resolution[i];
        if (statistics.fault_latency[i].count() != 0)
            latency[name] = latency_of(statistics.fault_latency[i]);
    }
    out["faults_by_resolution"] = std::move(faults);
    out["fault_latency"] = std::move(latency);
    json& tiers = out["tiers"] = json::array();
    for (const tier_stats& tier : statistics.tiers)
        tiers.push_back(tier_of(tier));
    return out.dump(2, ' ', false, json::error_handler_t::replace);
}

} // namespace uffdmm
