// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/session.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

#include "overcommit/embedder_memory.hpp"
#include "overcommit/limit_mover.hpp"
#include "overcommit/monitor.hpp"
#include "overcommit/poison_trap.hpp"
#include "overcommit/process_memory.hpp"
#include "overcommit/toucher.hpp"
#include "overcommit/workload.hpp"

namespace overcommit {
namespace {

std::atomic<std::atomic<bool>*> interrupted{nullptr};

void on_interrupt(int signal) {
    if (std::atomic<bool>* stop = interrupted.load())
        stop->store(true);
    std::signal(signal, SIG_DFL); // a second one ends the program
}

/// SIGINT sets `stop` while this lives.
class interrupt_scope {
  public:
    explicit interrupt_scope(std::atomic<bool>& stop) {
        interrupted.store(&stop);
        std::signal(SIGINT, on_interrupt);
    }
    ~interrupt_scope() {
        std::signal(SIGINT, SIG_DFL);
        interrupted.store(nullptr);
    }
    interrupt_scope(const interrupt_scope&) = delete;
    interrupt_scope& operator=(const interrupt_scope&) = delete;
};

double seconds_since(touch_clock::time_point start) {
    return std::chrono::duration<double>(touch_clock::now() - start).count();
}

double process_cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](timeval t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Median of reading the clock twice in a row, as every measured access does.
std::uint64_t clock_cost_ns() {
    std::vector<std::int64_t> costs(1001);
    for (std::int64_t& cost : costs) {
        const auto before = touch_clock::now();
        cost = std::chrono::nanoseconds(touch_clock::now() - before).count();
    }
    std::nth_element(costs.begin(), costs.begin() + 500, costs.end());
    return static_cast<std::uint64_t>(costs[500]);
}

/// The line goes where it does not disturb the report.
std::FILE* line_of(const options& o) {
    const bool wanted = o.live || (!o.json && ::isatty(STDOUT_FILENO) != 0);
    return o.quiet || !wanted ? nullptr : o.json ? stderr : stdout;
}

class session {
  public:
    explicit session(const options& asked)
        : asked_(asked), ledger_(uffdmm::pages_of(asked.region.size)), manager_(asked.manager),
          region_(manager_.add_region(region_config())), work_(asked, region_, ledger_),
          promise_(asked.manager.limit) {
        for (unsigned i = 0; i < asked.threads; ++i)
            touchers_.emplace_back(work_, i);
    }

    report run();

  private:
    uffdmm::region_config region_config();
    double in_parallel(const char* phase, const std::function<void(toucher&)>& work);
    void run_workload(report& r);
    void collect(report& r);
    void judge(report& r, const monitor& watch);
    progress progress_now();

    const options& asked_;
    page_ledger ledger_; ///< its memory is part of the baseline: it comes before the meter
    memory_meter meter_;
    std::optional<embedder_memory> memory_;
    uffdmm::manager manager_;
    uffdmm::region& region_;
    workload work_;
    limit_promise promise_;
    std::deque<toucher> touchers_;
    std::atomic<const char*> phase_{""};
};

uffdmm::region_config session::region_config() {
    uffdmm::region_config config = asked_.region;
    if (asked_.memory == memory_owner::embedder) {
        memory_.emplace(config.size, config.kind);
        config.address = memory_->address();
        config.fd = memory_->fd();
    }
    return config;
}

double session::in_parallel(const char* phase, const std::function<void(toucher&)>& work) {
    phase_ = phase;
    const auto start = touch_clock::now();
    std::vector<std::thread> threads;
    for (toucher& t : touchers_)
        threads.emplace_back([&work, &t] { work(t); });
    for (std::thread& t : threads)
        t.join();
    return seconds_since(start);
}

report session::run() {
    report r;
    r.asked = asked_;
    r.features = uffdmm::kernel_features();
    r.clock_cost_ns = clock_cost_ns();
    const interrupt_scope interrupt(work_.stop);
    const poison_trap trap(region_);
    monitor watch(
        {manager_, meter_, promise_}, [this] { return progress_now(); }, line_of(asked_));
    r.populate_seconds = in_parallel("populate", [](toucher& t) { t.populate(); });
    run_workload(r);
    r.verify_seconds = in_parallel("verify", [](toucher& t) { t.verify(); });
    watch.stop();
    collect(r);
    judge(r, watch);
    return r;
}

void session::run_workload(report& r) {
    std::optional<limit_mover> mover;
    if (asked_.limit_changes)
        mover.emplace(manager_, promise_, asked_.pattern.seed);
    r.before = manager_.statistics();
    const double cpu_before = process_cpu_seconds();
    const auto start = touch_clock::now();
    r.run_seconds = in_parallel("run", [start](toucher& t) { t.run(start); });
    r.cpu_seconds = process_cpu_seconds() - cpu_before;
    r.after = manager_.statistics();
    if (mover) {
        mover->stop();
        r.limit_changes = mover->changes();
        r.limit_changes_refused = mover->refused();
    }
}

void session::collect(report& r) {
    for (const toucher& t : touchers_) {
        r.touches += t.touches.load();
        r.writes += t.writes.load();
        r.discards += t.discards.load();
        r.discarded_pages += t.discarded_pages.load();
        r.verified_pages += t.verified_pages.load();
        r.cpu_seconds_workload += static_cast<double>(t.cpu_ns.load()) * 1e-9;
        r.latency.merge(t.latency.snapshot());
    }
    r.corrupt_pages = ledger_.corrupt_pages();
    r.failed_calls = work_.wrong.failed_calls();
    r.at_end = manager_.statistics();
    r.peak_rss_bytes = meter_.peak();
}

/// Sanitizers take memory of their own with every page touched, which the kernel counts too.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kernel_counts_only_us = false;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
constexpr bool kernel_counts_only_us = false;
#else
constexpr bool kernel_counts_only_us = true;
#endif
#else
constexpr bool kernel_counts_only_us = true;
#endif

/// The monitor saw samples; the peaks miss nothing, but hold against the first limit only.
void session::judge(report& r, const monitor& watch) {
    const limit_promise first(asked_.manager.limit);
    r.own_excess =
        std::max(watch.own_excess(), first.excess([&] { return r.at_end.peak_host_memory_bytes; }));
    if (kernel_counts_only_us)
        r.observed_excess =
            std::max(watch.observed_excess(), first.excess([&] { return r.peak_rss_bytes; }));
}

progress session::progress_now() {
    progress now{phase_.load(), 0, {}};
    for (const toucher& t : touchers_) {
        now.touches += t.touches.load();
        now.latency.merge(t.latency.snapshot());
    }
    return now;
}

} // namespace

report run_session(const options& asked) {
    return session(asked).run();
}

} // namespace overcommit
