// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <sstream>

#include "overcommit/report.hpp"
#include "overcommit/text.hpp"

namespace overcommit {
namespace {

constexpr std::size_t label_width = 18;

class lines {
  public:
    void add(std::string_view label, const std::string& text) {
        std::string padded(label);
        padded.resize(std::max(label_width, padded.size() + 1), ' ');
        out_ << "  " << padded << text << "\n";
    }
    void title(const std::string& text) { out_ << text << "\n"; }
    [[nodiscard]] std::string text() const { return out_.str(); }

  private:
    std::ostringstream out_;
};

std::string count(std::uint64_t n) {
    return count_text(static_cast<double>(n));
}

std::string percentiles(const uffdmm::histogram_snapshot& h) {
    const auto at = [&](double p) { return time_text(static_cast<double>(h.percentile(p))); };
    return "p50 " + at(0.5) + ", p90 " + at(0.9) + ", p99 " + at(0.99) + ", p99.9 " + at(0.999) +
           ", max " + at(1.0);
}

std::string workload_of(const options& o) {
    const bool shared = o.region.kind == uffdmm::backing::shared_memory;
    return std::string(pattern_names[static_cast<std::size_t>(o.pattern.kind)]) + ", " +
           fixed_text(o.write_percent, 0) + " % writes, compressible " +
           fixed_text(o.fill.compressibility, 1) + ":1, " + std::to_string(o.threads) +
           (o.threads == 1 ? " thread" : " threads") + ", " + (shared ? "memfd" : "private") +
           ", policy " + o.region.policy + ", prefetch " + o.region.prefetch;
}

void add_memory(const report& r, lines& out) {
    const uffdmm::stats& s = r.after;
    out.add("memory",
            "resident " + bytes_text(s.resident_bytes) + ", staged " + bytes_text(s.staged_bytes) +
                ", compressed " + bytes_text(s.compressed_bytes) + ", metadata " +
                bytes_text(s.metadata_bytes) + " (" + fixed_text(s.metadata_bytes_per_page, 1) +
                " B/page, page table " + bytes_text(s.page_table_bytes) + ")");
    out.add("peak", bytes_text(r.at_end.peak_host_memory_bytes) + " by the library's account, " +
                        bytes_text(r.peak_rss_bytes) + " by the kernel's; limit " +
                        bytes_text(r.at_end.limit_bytes));
}

void add_faults(const uffdmm::stats& run, double seconds, lines& out) {
    out.add("faults", count(run.faults) + ", " +
                          count_text(static_cast<double>(run.faults) / std::max(seconds, 1e-9)) +
                          "/s; from the kernel's message to the answer:");
    for (unsigned i = 0; i < uffdmm::resolutions; ++i)
        if (run.faults_by_resolution[i] != 0)
            out.add(std::string("  ") + uffdmm::to_string(static_cast<uffdmm::resolution>(i)),
                    count(run.faults_by_resolution[i]) + ": " + percentiles(run.fault_latency[i]));
    if (run.direct_reclaims != 0)
        out.add("  had to wait", count(run.direct_reclaims) + " for a free frame");
}

void add_reclaim(const uffdmm::stats& run, lines& out) {
    const double batch = run.evict_ioctls == 0 ? 0.0
                                               : static_cast<double>(run.evicted_pages) /
                                                     static_cast<double>(run.evict_ioctls);
    out.add("evicted", count(run.evicted_pages) + " pages, " + fixed_text(batch, 1) +
                           " per flush; written " + count(run.swapped_out) + ", dropped clean " +
                           count(run.dropped_clean) + ", zero " + count(run.dropped_zero) +
                           ", same-filled " + count(run.dropped_same_filled));
    out.add("prefetched", count(run.prefetched_pages) + " pages, of use " +
                              count(run.prefetch_hits) + ", wasted " + count(run.prefetch_waste));
}

void add_tier(const uffdmm::tier_stats& run, const uffdmm::tier_stats& at_end, lines& out) {
    std::string text = bytes_text(run.pages * uffdmm::page_size) + " in " +
                       bytes_text(run.occupied_bytes) + "; reads " + count(run.reads) +
                       ", writes " + count(run.writes);
    if (run.rejected != 0)
        text += ", passed on " + count(run.rejected);
    if (run.demoted != 0)
        text += ", demoted " + count(run.demoted);
    text += ", errors " + count(at_end.read_errors + at_end.write_errors + at_end.corrupt);
    out.add("tier " + run.name, text + (at_end.degraded ? ", DEGRADED" : ""));
}

void add_verdict(const report& r, lines& out) {
    const bool intact = r.corrupt_pages == 0;
    out.add("contents", intact ? count(r.verified_pages) + " pages verified, none corrupt"
                               : std::to_string(r.corrupt_pages) + " CORRUPT PAGES of " +
                                     count(r.verified_pages));
    if (r.failed_calls != 0)
        out.add("calls", std::to_string(r.failed_calls) + " FAILED");
    const auto broken = [](uffdmm::byte_count excess) { return "BROKEN by " + bytes_text(excess); };
    const auto& tiers = r.at_end.tiers;
    if (std::any_of(tiers.begin(), tiers.end(), [](const auto& tier) { return tier.degraded; }))
        out.add("", "a tier was full or failed: what no tier takes stays in memory");
    out.add("limit", !r.limit_broken()   ? "kept"
                     : r.own_excess != 0 ? broken(r.own_excess) + " by the library's account"
                                         : broken(r.observed_excess) + " by the kernel's account");
}

} // namespace

std::string to_text(const report& r) {
    const uffdmm::stats run = between(r.before, r.after);
    lines out;
    out.title(bytes_text(r.asked.region.size) + " of memory in a budget of " +
              bytes_text(r.asked.manager.limit));
    out.add("workload", workload_of(r.asked));
    out.add("populate", fixed_text(r.populate_seconds, 2) + " s");
    out.add("touches",
            count(r.touches) + " in " + fixed_text(r.run_seconds, 1) + " s, " +
                count_text(static_cast<double>(r.touches) / std::max(r.run_seconds, 1e-9)) + "/s");
    out.add("latency", percentiles(r.latency) + " of a touch");
    add_memory(r, out);
    add_faults(run, r.run_seconds, out);
    add_reclaim(run, out);
    for (std::size_t i = 0; i < run.tiers.size(); ++i)
        add_tier(run.tiers[i], r.at_end.tiers[i], out);
    if (r.discards != 0)
        out.add("discards",
                count(r.discards) + ", of " + count(r.discarded_pages) + " pages in all");
    if (r.limit_changes != 0)
        out.add("limit moved",
                count(r.limit_changes) + " times, refused " + count(r.limit_changes_refused));
    out.add("processor", fixed_text(r.cpu_seconds, 1) + " s, of which the workload " +
                             fixed_text(r.cpu_seconds_workload, 1) + " s");
    add_verdict(r, out);
    return out.text();
}

} // namespace overcommit
