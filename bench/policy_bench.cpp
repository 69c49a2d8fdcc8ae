// SPDX-License-Identifier: BSD-3-Clause

/// Cost of the eviction policies, per page. Pages were installed in random order, as after a while
/// of random faults.

#include <memory>
#include <string>

#include <benchmark/benchmark.h>

#include "registry/registry.hpp"
#include "support/page_order.hpp"
#include "uffdmm/engine/page_table.hpp"
#include "uffdmm/policy.hpp"

namespace uffdmm::bench {
namespace {

constexpr std::uint32_t never_evicted = UINT32_MAX;

class policy_world {
  public:
    policy_world(std::string_view name, page_count pages)
        : table_(pages), order_(shuffled_pages(pages)), policy_(find_policy(name)(table_)) {
        for (const page_index page : order_)
            policy_->installed(page, install_cause::first_touch, never_evicted);
        policy_->resize(pages);
    }
    [[nodiscard]] eviction_policy& policy() { return *policy_; }
    [[nodiscard]] page_index next() {
        at_ = at_ + 1 == order_.size() ? 0 : at_ + 1;
        return order_[at_];
    }

  private:
    page_table table_;
    std::vector<page_index> order_;
    std::unique_ptr<eviction_policy> policy_;
    std::size_t at_ = 0;
};

using benchmark_body = void (*)(benchmark::State&, eviction_policy&, policy_world&);

/// A page leaves and another comes: the steady state under pressure. `cause`: of the one that
/// comes.
template <install_cause Cause>
void evict_and_install(benchmark::State& state, eviction_policy& policy, policy_world&) {
    const std::uint32_t distance = Cause == install_cause::first_touch ? never_evicted : 1;
    for ([[maybe_unused]] auto each : state) {
        const page_index victim = policy.next_victim();
        policy.removed(victim);
        policy.installed(victim, Cause, distance);
    }
}

/// The victim's neighbour is asked about, and goes or stays.
void keep(benchmark::State& state, eviction_policy& policy, policy_world& world) {
    for ([[maybe_unused]] auto each : state)
        benchmark::DoNotOptimize(policy.keep(world.next()));
}

/// A page that leaves as a neighbour, from the middle of the list, and comes back.
void remove_and_install(benchmark::State& state, eviction_policy& policy, policy_world& world) {
    for ([[maybe_unused]] auto each : state) {
        const page_index page = world.next();
        policy.removed(page);
        policy.installed(page, install_cause::swap_in, 1);
    }
}

void requeue(benchmark::State& state, eviction_policy& policy, policy_world&) {
    for ([[maybe_unused]] auto each : state)
        policy.requeue(policy.next_victim());
}

void add(std::string_view policy, const char* what, benchmark_body body) {
    for (const page_count pages : {small_table, large_table}) {
        const std::string name =
            "policy/" + std::string(policy) + "/" + what + "/" + std::to_string(pages);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
            policy_world world(policy, pages);
            body(state, world.policy(), world);
        });
    }
}

[[maybe_unused]] const bool registered = [] {
    for (const std::string_view policy : policy_names()) {
        add(policy, "evict_and_install", evict_and_install<install_cause::first_touch>);
        add(policy, "evict_and_take_back", evict_and_install<install_cause::take_back>);
        add(policy, "remove_and_install", remove_and_install);
        add(policy, "keep", keep);
        add(policy, "requeue", requeue);
    }
    return true;
}();

} // namespace
} // namespace uffdmm::bench
