// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// One thread of the workload.

#include <chrono>
#include <cstdint>

#include "overcommit/random.hpp"
#include "overcommit/workload.hpp"
#include "uffdmm/engine/counter.hpp"
#include "uffdmm/engine/histogram.hpp"

namespace overcommit {

using touch_clock = std::chrono::steady_clock;

/// The three phases are called one after the other, each on one thread. The counters and the
/// histogram may be read by anybody meanwhile; they are of the run alone.
class toucher {
  public:
    toucher(workload& work, unsigned number);

    void populate(); ///< writes version 1 of this thread's share of the pages
    void run(touch_clock::time_point start);
    void verify(); ///< reads every page of this thread's share

    uffdmm::counter touches;
    uffdmm::counter writes;
    uffdmm::counter discards;
    uffdmm::counter discarded_pages;
    uffdmm::counter verified_pages; ///< by verify()
    uffdmm::counter cpu_ns;         ///< processor time of run()
    /// Of the memory accesses alone: the first load of a page, and the first store where it is
    /// written. Checking and filling the rest of the page is not in it.
    uffdmm::histogram latency;

  private:
    touch_clock::time_point touch(std::uint64_t page, bool write);
    void discard(std::uint64_t first, uffdmm::page_count count);
    [[nodiscard]] uffdmm::result<void> drop(std::uint64_t first, uffdmm::page_count count);
    void check(std::uint64_t page, page_record& record);

    workload& work_;
    unsigned number_;
    random_source random_;
    std::uint64_t first_; ///< this thread's share: [first_, end_)
    std::uint64_t end_;
};

} // namespace overcommit
