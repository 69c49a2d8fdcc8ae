// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/workload.hpp"

#include <cinttypes>
#include <cstdio>
#include <string>

namespace overcommit {
namespace {

/// Where the library has the page now; it may have moved since the wrong byte was seen.
std::string whereabouts(uffdmm::region& region, std::uint64_t page) {
    const auto runs = region.query(page * uffdmm::page_size, uffdmm::page_size);
    if (!runs || runs.value().empty())
        return "unknown";
    const uffdmm::residency_run& run = runs.value().front();
    std::string text = uffdmm::to_string(run.state);
    if (run.state == uffdmm::residency::swapped)
        text += " in tier " + std::to_string(run.tier);
    return text;
}

} // namespace

void complaints::corrupt(std::uint64_t page, page_record expected, page_verdict verdict) {
    if (corrupt_.fetch_add(1) >= most_told)
        return;
    const std::string what =
        expected.zeros ? "zeros" : "version " + std::to_string(expected.version);
    std::fprintf(stderr, "overcommit: CORRUPT page %" PRIu64 ": %s; expected %s; now %s\n", page,
                 to_string(verdict), what.c_str(), whereabouts(region_, page).c_str());
}

void complaints::failed(const char* call, const uffdmm::error& error) {
    if (failed_calls_.fetch_add(1) >= most_told)
        return;
    std::fprintf(stderr, "overcommit: %s failed: %s in %s, errno %d\n", call,
                 uffdmm::to_string(error.code), error.operation, error.os_errno);
}

} // namespace overcommit
