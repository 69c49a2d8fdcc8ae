// SPDX-License-Identifier: BSD-3-Clause
#include "executor/spare_time.hpp"

#include <algorithm>

namespace uffdmm {

void spare_time::submit(std::span<job* const> jobs) noexcept {
    while (!jobs.empty() && keeps_ && busy_ == 0 && jobs.front()->has_small_parts()) {
        accept(*jobs.front());
        kept_.push(*jobs.front());
        jobs = jobs.subspan(1);
    }
    if (jobs.empty())
        return;
    busy_ -= std::min(busy_, jobs.size());
    workers_.submit(jobs);
}

bool spare_time::use(const round& last) noexcept {
    keeps_ = last.serving && !last.outrun;
    if (kept_.empty())
        return false;
    if (started_ns_ == 0)
        started_ns_ = last.began_ns;
    const bool too_slow = last.began_ns - started_ns_ > patience_ns;
    if (too_slow)
        busy_ = busy_jobs;
    if (too_slow || !keeps_)
        hand_over();
    else if (last.idle)
        run_part();
    return true;
}

void spare_time::run_part() noexcept {
    if (!kept_.oldest().run_part())
        return;
    post(kept_.pop());
    started_ns_ = 0;
}

void spare_time::hand_over() noexcept {
    while (!kept_.empty())
        pass_to(workers_, kept_.pop());
    started_ns_ = 0;
}

} // namespace uffdmm
