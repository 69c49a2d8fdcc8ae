// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What a run found, and how it is told.

#include <cstdint>
#include <string>

#include "overcommit/options.hpp"
#include "uffdmm/stats.hpp"

namespace overcommit {

struct report {
    options asked;
    std::string features; ///< of the kernel

    double populate_seconds = 0;
    double run_seconds = 0;
    double verify_seconds = 0;

    // The run alone.
    std::uint64_t touches = 0;
    std::uint64_t writes = 0;
    std::uint64_t discards = 0;
    std::uint64_t discarded_pages = 0;
    uffdmm::histogram_snapshot latency;
    double cpu_seconds = 0;          ///< of the process
    double cpu_seconds_workload = 0; ///< of the threads that touch memory
    uffdmm::stats before;            ///< when the run began
    uffdmm::stats after;             ///< when it ended

    std::uint64_t clock_cost_ns = 0; ///< of reading the clock twice; contained in each latency
    std::uint64_t verified_pages = 0;
    std::uint64_t corrupt_pages = 0;
    std::uint64_t failed_calls = 0;
    uffdmm::stats at_end; ///< after the last verification
    uffdmm::byte_count peak_rss_bytes = 0;
    std::uint64_t limit_changes = 0;
    std::uint64_t limit_changes_refused = 0;
    uffdmm::byte_count own_excess = 0;      ///< over the limit, by the library's accounting
    uffdmm::byte_count observed_excess = 0; ///< and by the kernel's; 0 = kept

    [[nodiscard]] bool limit_broken() const { return own_excess != 0 || observed_excess != 0; }
    [[nodiscard]] bool good() const {
        return corrupt_pages == 0 && failed_calls == 0 && !limit_broken();
    }
};

/// One object. Counters of the library are those of the run alone, without populating and the last
/// verification; "statistics" has them from the first to the last.
[[nodiscard]] std::string to_json(const report& r);

/// For people.
[[nodiscard]] std::string to_text(const report& r);

/// What happened between two looks at the library: counters and histograms are differences, the
/// rest is as in `after`.
[[nodiscard]] uffdmm::stats between(const uffdmm::stats& before, const uffdmm::stats& after);

} // namespace overcommit
