// SPDX-License-Identifier: BSD-3-Clause
#include "executor/spare_time.hpp"

#include <algorithm>

namespace uffdmm {

void spare_time::submit(std::span<job* const> jobs) noexcept {
    while (!jobs.empty() && serving_ && busy_ == 0 && jobs.front()->has_small_parts()) {
        keep(*jobs.front());
        jobs = jobs.subspan(1);
    }
    if (jobs.empty())
        return;
    busy_ -= std::min(busy_, jobs.size());
    workers_.submit(jobs);
}

void spare_time::keep(job& j) noexcept {
    accept(j);
    next_of(j) = nullptr;
    if (oldest_ == nullptr)
        oldest_ = &j;
    else
        next_of(*newest_) = &j;
    newest_ = &j;
}

bool spare_time::use(round last, std::uint64_t now_ns) noexcept {
    serving_ = last.serving;
    if (oldest_ == nullptr)
        return false;
    if (started_ns_ == 0)
        started_ns_ = now_ns;
    const bool too_slow = now_ns - started_ns_ > patience_ns;
    if (too_slow)
        busy_ = busy_jobs;
    if (too_slow || !serving_)
        hand_over();
    else if (last.idle)
        run_part();
    return true;
}

void spare_time::run_part() noexcept {
    job& j = *oldest_;
    if (!j.run_part())
        return;
    oldest_ = next_of(j);
    started_ns_ = 0;
    post(j);
}

void spare_time::hand_over() noexcept {
    while (oldest_ != nullptr) {
        job& j = *oldest_;
        oldest_ = next_of(j);
        pass_to(workers_, j);
    }
    started_ns_ = 0;
}

} // namespace uffdmm
