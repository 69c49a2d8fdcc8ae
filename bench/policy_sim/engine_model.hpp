// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A shard's memory as its policy sees it, with the engine's own page table, policies and staged
/// list: aligned windows of 64 pages leave under one flush or a few, are staged, and go to a tier
/// oldest first. Time, tiers and prefetching are left out.

#include <bit>
#include <cstdint>
#include <memory>

#include "uffdmm/engine/page_table.hpp"
#include "uffdmm/engine/staging.hpp"
#include "uffdmm/policy.hpp"

namespace policy_sim {

/// What happened to the touches of a trace.
struct figures {
    std::uint64_t touches = 0;
    std::uint64_t misses = 0;     ///< a tier would be read
    std::uint64_t take_backs = 0; ///< of the others: faults on staged pages
    std::uint64_t evicted = 0;    ///< pages that left the guest
    std::uint64_t flushes = 0;    ///< ioctls that took them out: a TLB flush each

    [[nodiscard]] double hit_ratio() const {
        return touches == 0 ? 0 : 1 - static_cast<double>(misses) / static_cast<double>(touches);
    }
    [[nodiscard]] double pages_per_flush() const {
        return flushes == 0 ? 0 : static_cast<double>(evicted) / static_cast<double>(flushes);
    }
};

struct engine_tuning {
    unsigned staged_percent = 12;
    unsigned low_permille = 15;
    unsigned high_permille = 30;
};

class engine_model {
  public:
    engine_model(const uffdmm::policy_factory& make, uffdmm::page_count pages,
                 uffdmm::page_count capacity, engine_tuning tuning = {})
        : capacity_(capacity), staged_target_(capacity * tuning.staged_percent / 100),
          low_(std::max<uffdmm::page_count>(capacity * tuning.low_permille / 1000, 32)),
          high_(std::max(capacity * tuning.high_permille / 1000, 2 * low_)), table_(pages),
          staged_(pages + 64 * uffdmm::cluster_pages), policy_(make(table_)) {
        policy_->resize(capacity - staged_target_);
    }

    void touch(uffdmm::page_index page) {
        using namespace uffdmm;
        ++seen_.touches;
        switch (table_[page].state()) {
        case page_state::resident:
            return;
        case page_state::staged: {
            ++seen_.take_backs;
            const frame_index frame = table_[page].frame();
            install(page, page_op::take_back, install_cause::take_back);
            staged_.vacate(frame);
            break;
        }
        case page_state::swapped:
            ++seen_.misses;
            install(page, page_op::install, install_cause::swap_in);
            break;
        default:
            ++seen_.misses;
            install(page, page_op::install_zero, install_cause::first_touch);
        }
        if (free() < low_)
            reclaim();
    }

    [[nodiscard]] const figures& seen() const { return seen_; }
    void forget_figures() { seen_ = {}; }
    [[nodiscard]] uffdmm::page_count in_memory() const { return policy_->size() + staged_.taken(); }
    [[nodiscard]] uffdmm::page_count staged() const { return staged_.staged(); }

  private:
    [[nodiscard]] std::int64_t free() const {
        return std::int64_t{capacity_} - std::int64_t{in_memory()};
    }

    void install(uffdmm::page_index page, uffdmm::page_op op, uffdmm::install_cause cause) {
        using namespace uffdmm;
        page_entry& entry = table_[page];
        const std::uint32_t distance = entry.has(page_flag::evicted_before)
                                           ? refault_distance(clock_, entry.evicted_at())
                                           : UINT32_MAX;
        entry.apply(op);
        entry.clear(page_flag::evicted_before);
        policy_->installed(page, cause, distance);
        latest_ = page;
    }

    /// Up to the high watermark. The staged list is kept full: in the engine writes under way have
    /// that effect.
    void reclaim() {
        while (free() < high_) {
            while (staged_.staged() < staged_target_ && policy_->size() > 1)
                evict_window();
            if (!drain_oldest())
                return;
            (void)staged_.release(true, 64, [](auto) {});
        }
    }

    bool drain_oldest() {
        using namespace uffdmm;
        cluster* c = staged_.pop_oldest();
        if (c == nullptr)
            return false;
        for (std::uint64_t left = c->staged; left != 0; left &= left - 1) {
            const auto index = static_cast<unsigned>(std::countr_zero(left));
            page_entry& entry = table_[c->base + index];
            entry.apply(page_op::drop);
            staged_.kill(staged_.frame_of(*c, index));
        }
        return true;
    }

    void evict_window() {
        using namespace uffdmm;
        const page_index victim = next_victim();
        const page_index base{victim.value & ~(cluster_pages - 1)};
        const page_count n = std::min(cluster_pages, table_.size() - base.value);
        std::uint64_t resident = 0;
        std::uint64_t leaving = 0;
        for (unsigned i = 0; i < n; ++i) {
            const page_index page = base + i;
            if (table_[page].state() != page_state::resident)
                continue;
            resident |= bit(i);
            if (page == victim || (page != latest_ && !policy_->keep(page)))
                leaving |= bit(i);
        }
        take_out(base, leaving, resident & ~leaving);
    }
    /// What was installed for a fault a moment ago stays, as in the engine.
    [[nodiscard]] uffdmm::page_index next_victim() {
        const uffdmm::page_index victim = policy_->next_victim();
        if (victim != latest_)
            return victim;
        policy_->requeue(victim);
        return policy_->next_victim();
    }

    /// One flush for each run of leaving pages that no staying page interrupts.
    void take_out(uffdmm::page_index base, std::uint64_t leaving, std::uint64_t staying) {
        using namespace uffdmm;
        cluster* c = staged_.take(base);
        UFFDMM_CHECK(c != nullptr, "there are frames enough");
        bool in_run = false;
        for (unsigned i = 0; i < cluster_pages; ++i) {
            if ((staying & bit(i)) != 0)
                in_run = false;
            if ((leaving & bit(i)) == 0)
                continue;
            seen_.flushes += in_run ? 0 : 1;
            in_run = true;
            policy_->removed(base + i);
            table_[base + i].apply(page_op::stage);
            table_[base + i].set_frame(staged_.frame_of(*c, i));
            table_[base + i].set_evicted_at(++clock_);
            staged_.add(*c, i);
            ++seen_.evicted;
        }
        staged_.commit(*c);
    }

    uffdmm::page_count capacity_;
    uffdmm::page_count staged_target_;
    uffdmm::page_count low_;
    uffdmm::page_count high_;
    uffdmm::page_table table_;
    uffdmm::staging staged_;
    std::unique_ptr<uffdmm::eviction_policy> policy_;
    uffdmm::page_index latest_ = uffdmm::no_page; ///< the page installed last
    std::uint32_t clock_ = 0;
    figures seen_;
};

} // namespace policy_sim
