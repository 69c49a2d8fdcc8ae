// SPDX-License-Identifier: BSD-3-Clause
#include <nlohmann/json.hpp>

#include "overcommit/limit_promise.hpp"
#include "overcommit/report.hpp"
#include "uffdmm/manager.hpp"
#include "uffdmm/stats_json.hpp"

namespace overcommit {
namespace {

using json = nlohmann::ordered_json;

json percentiles(const uffdmm::histogram_snapshot& h) {
    return {{"p50", h.percentile(0.5)},    {"p90", h.percentile(0.9)}, {"p99", h.percentile(0.99)},
            {"p999", h.percentile(0.999)}, {"max", h.percentile(1.0)}, {"mean", h.mean()},
            {"count", h.count()}};
}

json options_of(const options& o) {
    const bool shared = o.region.kind == uffdmm::backing::shared_memory;
    return {{"size", o.region.size},
            {"limit", o.manager.limit},
            {"threads", o.threads},
            {"seconds", std::chrono::duration<double>(o.run_time).count()},
            {"pattern", pattern_names[static_cast<std::size_t>(o.pattern.kind)]},
            {"write_percent", o.write_percent},
            {"compressibility", o.fill.compressibility},
            {"same_filled_percent", o.fill.same_filled_percent},
            {"discard_percent", o.discard_percent},
            {"limit_changes", o.limit_changes},
            {"policy", o.region.policy},
            {"prefetch", o.region.prefetch},
            {"backing", shared ? "memfd" : "private"},
            {"memory", o.memory == memory_owner::embedder ? "embedder" : "library"},
            {"shards", o.region.shards},
            {"workers", o.manager.workers},
            {"seed", o.pattern.seed}};
}

json faults_of(const uffdmm::stats& run) {
    json faults{{"total", run.faults}};
    json by_kind = json::object();
    json latency = json::object();
    for (unsigned i = 0; i < uffdmm::resolutions; ++i) {
        const std::string kind = uffdmm::to_string(static_cast<uffdmm::resolution>(i));
        by_kind[kind] = run.faults_by_resolution[i];
        if (run.fault_latency[i].count() != 0)
            latency[kind] = percentiles(run.fault_latency[i]);
    }
    faults["by_kind"] = by_kind;
    faults["latency_ns"] = latency;
    faults["refaults"] = run.refaults;
    faults["direct_reclaims"] = run.direct_reclaims;
    return faults;
}

json tier_of(const uffdmm::tier_stats& run, const uffdmm::tier_stats& at_end) {
    return {{"name", run.name},
            {"pages", run.pages},
            {"bytes", run.occupied_bytes},
            {"stored_bytes", run.stored_bytes},
            {"memory_bytes", run.memory_bytes},
            {"capacity_bytes", run.capacity_bytes},
            {"reads", run.reads},
            {"writes", run.writes},
            {"rejected", run.rejected},
            {"demoted", run.demoted},
            {"errors", at_end.read_errors + at_end.write_errors + at_end.corrupt},
            {"degraded", at_end.degraded}};
}

} // namespace

std::string to_json(const report& r) {
    const uffdmm::stats run = between(r.before, r.after);
    json out;
    out["program"] = "overcommit";
    out["version"] = uffdmm::version();
    out["kernel_features"] = r.features;
    out["good"] = r.good();
    out["options"] = options_of(r.asked);
    out["populate_seconds"] = r.populate_seconds;
    out["run_seconds"] = r.run_seconds;
    out["verify_seconds"] = r.verify_seconds;
    out["touches"] = r.touches;
    out["touches_per_second"] =
        r.run_seconds > 0 ? static_cast<double>(r.touches) / r.run_seconds : 0.0;
    out["writes"] = r.writes;
    out["discards"] = r.discards;
    out["discarded_pages"] = r.discarded_pages;
    out["touch_latency_ns"] = percentiles(r.latency);
    out["clock_cost_ns"] = r.clock_cost_ns;
    out["verified_pages"] = r.verified_pages;
    out["corrupt_pages"] = r.corrupt_pages;
    out["poisoned_pages"] = r.at_end.poisoned_pages;
    out["failed_calls"] = r.failed_calls;
    out["limit_bytes"] = r.at_end.limit_bytes;
    out["limit_slack_bytes"] = limit_promise::slack(r.asked.manager.limit);
    out["limit_broken"] = r.limit_broken();
    out["limit_excess_bytes"] = std::max(r.own_excess, r.observed_excess);
    out["limit_changes"] = r.limit_changes;
    out["limit_changes_refused"] = r.limit_changes_refused;
    out["peak_host_memory_bytes"] = r.at_end.peak_host_memory_bytes;
    out["peak_rss_bytes"] = r.peak_rss_bytes;
    out["peak_rss_is"] = "resident anonymous and file pages of the process and pages of its memfds,"
                         " less what was there before the manager was made";
    out["metadata_bytes"] = r.at_end.metadata_bytes;
    out["page_table_bytes"] = r.at_end.page_table_bytes;
    out["metadata_bytes_per_page"] = r.at_end.metadata_bytes_per_page;
    out["faults"] = faults_of(run);
    out["evictions"] = run.evicted_pages;
    out["evict_ioctls"] = run.evict_ioctls;
    out["swapped_out"] = run.swapped_out;
    out["prefetch"] = {{"pages", run.prefetched_pages},
                       {"hits", run.prefetch_hits},
                       {"waste", run.prefetch_waste}};
    json& tiers = out["tiers"] = json::array();
    for (std::size_t i = 0; i < run.tiers.size(); ++i)
        tiers.push_back(tier_of(run.tiers[i], r.at_end.tiers[i]));
    out["cpu_seconds"] = r.cpu_seconds;
    out["cpu_seconds_workload"] = r.cpu_seconds_workload;
    out["statistics"] = json::parse(uffdmm::to_json(r.at_end));
    return out.dump(2) + "\n";
}

} // namespace overcommit
