// SPDX-License-Identifier: BSD-3-Clause
#include "manager/shard_thread.hpp"

#include <algorithm>
#include <string>

#include <pthread.h>
#include <sched.h>

#include "detail/signals_blocked.hpp"
#include "registry/registry.hpp"

namespace uffdmm {
namespace {

/// Address space for staged pages. A window of 64 pages takes a whole cluster even if only one of
/// its pages leaves, and another one if a page of it is kept because no tier wants it, so there are
/// twice as many frames as pages; small shards get room to work in.
page_count frames_for(page_count pages) {
    constexpr std::uint64_t fewest = std::uint64_t{64} * cluster_pages;
    constexpr std::uint64_t most = std::uint64_t{no_frame.value / cluster_pages} * cluster_pages;
    const std::uint64_t windows = (std::uint64_t{pages} + cluster_pages - 1) / cluster_pages;
    return static_cast<page_count>(std::clamp(2 * windows * cluster_pages, fewest, most));
}

linux_kernel_options kernel_options(const region_config& config) {
    linux_kernel_options options;
    options.huge_pages = config.huge_pages == huge_page_use::automatic;
    options.remove_events = config.remove_events && config.kind == backing::private_anonymous;
    return options;
}

policy_factory policy_of(const region_config& config) {
    return config.make_policy ? config.make_policy : find_policy(config.policy);
}
prefetcher_factory prefetcher_of(const region_config& config) {
    return config.make_prefetcher ? config.make_prefetcher
                                  : find_prefetcher(config.prefetch, config.prefetch_window);
}

} // namespace

shard_thread::shard_thread(const guest_slice& slice, const region_config& config,
                           const shard_services& shared, unsigned number)
    : waiter_(shared.spin), mail_(waiter_), spare_(shared.workers),
      os_(slice, frames_for(slice.pages), kernel_options(config)),
      engine_(std::in_place, os_,
              shard<linux_kernel>::parts{shared.tuning, shared.money, *this, mail_,
                                         policy_of(config), prefetcher_of(config),
                                         make_tiers(shared, number), shared.observer}),
      number_(number) {
    if (shared.gather != nullptr)
        gathering_.emplace(*shared.gather);
    waiter_.watch(os_.events_fd());
    for (tier_number tier = 1; tier <= engine_->tiers().last(); ++tier)
        waiter_.watch(engine_->tiers().at(tier).event_fd());
}

shard_thread::~shard_thread() {
    if (thread_.joinable()) {
        (void)run(command::kind::stop, {});
        thread_.join();
    }
    // A tier may have left work of its own with the workers, whose mail comes here.
    engine_.reset();
    spare_.hand_over();
    while (mail_.expects_jobs())
        ::sched_yield();
    (void)mail_.drain();
}

std::vector<std::unique_ptr<swap_tier>> shard_thread::make_tiers(const shard_services& shared,
                                                                 unsigned number) {
    const tier_context context{spare_, mail_, os_.pages(), number};
    std::vector<std::unique_ptr<swap_tier>> tiers;
    for (const tier_factory& make : shared.tiers)
        tiers.push_back(make(context));
    return tiers;
}

void shard_thread::start() {
    const signals_blocked none;
    thread_ = std::thread([this] { loop(); });
    ::pthread_setname_np(thread_.native_handle(), ("uffdmm-" + std::to_string(number_)).c_str());
}

void shard_thread::loop() noexcept {
    try {
        while (!engine_->stopped()) {
            const wait_hint hint = engine_->step();
            // The thread whose event is unread, or whose madvise is not finished, needs the CPU.
            if (engine_->parked())
                ::sched_yield();
            const bool more = spare_.use({.serving = engine_->serving(),
                                          .outrun = engine_->outrun(),
                                          .idle = hint != wait_hint::poll,
                                          .began_ns = engine_->step_began_ns()});
            const wait_hint placed = gather(hint);
            waiter_.wait(more ? wait_hint::poll : placed, mail_);
        }
        if (gathering_)
            gathering_->let_all_go();
    } catch (const std::exception& e) {
        fatal(__FILE__, __LINE__, e.what());
    }
}

/// A shard thread that shares its CPU with those it serves does not spin on it, and must wake to
/// let them go when their faults end.
wait_hint shard_thread::gather(wait_hint hint) noexcept {
    if (!gathering_)
        return hint;
    const shard_counters& counts = engine_->counters();
    const bool together = gathering_->step(engine_->step_began_ns(),
                                           counts.faults.load() + counts.prefetched_pages.load(),
                                           engine_->faulting());
    return together && hint != wait_hint::poll ? wait_hint::timed : hint;
}

result<void> shard_thread::run(command::kind what, page_run run) {
    command c(what, run, queue());
    post(c);
    return c.wait();
}

byte_count shard_thread::estimated_metadata(page_count pages) noexcept {
    constexpr byte_count fixed = byte_count{640}
                                 << 10; // read batches, store operations, histograms
    const byte_count frames = frames_for(pages);
    const byte_count buffers = std::clamp<byte_count>(frames / 64, 128, 512) * page_size;
    return byte_count{pages} * sizeof(page_entry) + frames / cluster_pages * sizeof(cluster) +
           buffers + fixed;
}

} // namespace uffdmm
