// SPDX-License-Identifier: BSD-3-Clause
/// Every policy against the same model: the set of pages that are resident.

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "registry/registry.hpp"
#include "support/catch.hpp"
#include "support/seed.hpp"
#include "uffdmm/policy.hpp"
#include "uffdmm/result.hpp"

namespace {

using namespace uffdmm;

constexpr page_count pages = 300;

/// Drives a policy the way a shard does, and keeps the truth beside it.
class policy_model {
  public:
    policy_model(const policy_factory& make, std::uint64_t seed)
        : table_(pages), policy_(make(table_)), random_(seed) {}

    void step() {
        switch (below(12)) {
        case 0:
        case 1:
        case 2:
        case 3:
            install();
            break;
        case 4:
            remove_any();
            break;
        case 5:
        case 6:
        case 7:
            evict_cluster();
            break;
        case 8:
            if (!resident_.empty())
                policy_->requeue(any_resident());
            break;
        case 9:
            if (!resident_.empty())
                (void)policy_->keep(any_resident());
            break;
        case 10:
            policy_->resize(below(2 * pages));
            break;
        default:
            scan();
        }
        policy_->check_invariants();
        REQUIRE(policy_->size() == resident_.size());
    }

    /// Whatever was installed can be evicted again, one page at a time.
    void drain() {
        while (!resident_.empty()) {
            const page_index victim = next_victim();
            take_out(victim);
        }
        REQUIRE(policy_->next_victim() == no_page);
        REQUIRE(policy_->size() == 0);
    }

  private:
    std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

    page_index any_resident() {
        auto it = resident_.begin();
        std::advance(it, below(static_cast<std::uint32_t>(resident_.size())));
        return *it;
    }

    void install() { install(page_index{below(pages)}); }

    void install(page_index page) {
        if (!resident_.insert(page).second)
            return;
        page_entry& entry = table_[page];
        const bool evicted = entry.has(page_flag::evicted_before);
        const std::uint32_t distance =
            evicted ? refault_distance(clock_, entry.evicted_at()) : UINT32_MAX;
        page_op op = page_op::install_zero;
        install_cause cause = below(4) == 0 ? install_cause::one_pass : install_cause::first_touch;
        if (entry.state() == page_state::staged) {
            op = page_op::take_back;
            cause = below(4) == 0 ? install_cause::prefetch : install_cause::take_back;
        }
        entry.apply(op);
        policy_->installed(page, cause, distance);
    }

    /// A scan of neighbours, as a prefetch window brings them.
    void scan() {
        const std::uint32_t from = below(pages);
        for (std::uint32_t page = from; page < std::min(from + 20, pages); ++page)
            install(page_index{page});
    }

    void remove_any() {
        if (resident_.empty())
            return;
        const page_index page = any_resident();
        policy_->removed(page);
        resident_.erase(page);
        table_[page].apply(page_op::discard);
    }

    void take_out(page_index page) {
        policy_->removed(page);
        REQUIRE(resident_.erase(page) == 1);
        page_entry& entry = table_[page];
        entry.apply(page_op::stage);
        entry.set_frame({page.value}); // overwrites the links, as the engine does
        entry.set_evicted_at(++clock_);
    }

    page_index next_victim() {
        const page_index victim = policy_->next_victim();
        REQUIRE((victim == no_page) == resident_.empty());
        if (victim != no_page)
            REQUIRE(resident_.count(victim) == 1);
        return victim;
    }

    void evict_cluster() {
        const page_index victim = next_victim();
        if (victim == no_page)
            return;
        const std::uint32_t base = victim.value & ~63u;
        std::vector<page_index> leaving;
        for (std::uint32_t page = base; page < std::min(base + 64, pages); ++page)
            if (resident_.count({page}) == 1 && (page == victim.value || !policy_->keep({page})))
                leaving.push_back({page});
        for (page_index page : leaving)
            take_out(page);
        REQUIRE(resident_.count(victim) == 0);
    }

    page_table table_;
    std::unique_ptr<eviction_policy> policy_;
    std::mt19937_64 random_;
    std::set<page_index> resident_;
    std::uint32_t clock_ = 0;
};

TEST_CASE("policy: every policy holds exactly the resident pages, whatever happens") {
    UFFDMM_INFO_SEED();
    for (const std::string_view name : policy_names()) {
        DYNAMIC_SECTION(name) {
            policy_model model(find_policy(name), test::seed());
            for (int i = 0; i < 20'000; ++i)
                model.step();
            model.drain();
        }
    }
}

TEST_CASE("policy: an unpinned page is offered even if others are always requeued") {
    for (const std::string_view name : policy_names()) {
        DYNAMIC_SECTION(name) {
            page_table table(pages);
            const auto policy = find_policy(name)(table);
            for (std::uint32_t i = 0; i < pages; ++i) {
                table[{i}].apply(page_op::install_zero);
                policy->installed({i}, install_cause::take_back, 1);
                (void)policy->keep({i});
            }
            const page_index wanted{217};
            unsigned calls = 0;
            for (page_index at = policy->next_victim(); at != wanted; at = policy->next_victim()) {
                policy->requeue(at);
                REQUIRE(++calls < 5 * pages);
            }
        }
    }
}

TEST_CASE("policy: the work of one next_victim call is bounded") {
    // With every page referenced, a policy that scanned until it found an unreferenced one would
    // walk all of them; 64 chances per call leave most bits set.
    for (const std::string_view name : policy_names()) {
        DYNAMIC_SECTION(name) {
            constexpr page_count many = 10'000;
            page_table table(many);
            const auto policy = find_policy(name)(table);
            for (std::uint32_t i = 0; i < many; ++i) {
                table[{i}].apply(page_op::install_zero);
                policy->installed({i}, install_cause::take_back, 1);
            }
            std::vector<unsigned> before(many);
            for (std::uint32_t i = 0; i < many; ++i)
                before[i] = table[{i}].policy_bits();
            REQUIRE(policy->next_victim() != no_page);
            page_count changed = 0;
            for (std::uint32_t i = 0; i < many; ++i)
                changed += before[i] != table[{i}].policy_bits() ? 1 : 0;
            REQUIRE(changed <= 64);
        }
    }
}

TEST_CASE("registry: an unknown name is refused with the key, the value and what is allowed") {
    const auto message = [](auto&& find) -> std::string {
        try {
            find();
        } catch (const setup_error& e) {
            REQUIRE(e.code() == errc::invalid_config);
            return e.what();
        }
        return "";
    };
    const std::string policy = message([] { (void)find_policy("lru"); });
    for (const char* part : {"policy", "\"lru\"", "fifo", "second_chance", "s3fifo"})
        REQUIRE(policy.find(part) != std::string::npos);
    const std::string prefetch = message([] { (void)find_prefetcher("", 8); });
    for (const char* part : {"prefetch", "\"\"", "off", "sequential", "stride", "adaptive"})
        REQUIRE(prefetch.find(part) != std::string::npos);
}

TEST_CASE("registry: every listed name makes an object of that name") {
    page_table table(8);
    for (const std::string_view name : policy_names())
        REQUIRE(find_policy(name)(table)->name() == name);
    for (const std::string_view name : prefetcher_names())
        REQUIRE(find_prefetcher(name, 16)(100)->name() == name);
}

} // namespace
