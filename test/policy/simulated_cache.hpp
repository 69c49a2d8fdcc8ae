// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A shard's memory reduced to what a policy sees: resident pages, a staged list, clusters of 64.

#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include "uffdmm/policy.hpp"

namespace uffdmm::test {

class simulated_cache {
  public:
    struct sizes {
        page_count pages;
        page_count resident;
        page_count staged;
        page_count cluster = 64; ///< 1: no neighbours are evicted
    };

    simulated_cache(const policy_factory& make, sizes s)
        : sizes_(s), table_(s.pages), policy_(make(table_)), staged_seq_(s.pages) {
        policy_->resize(s.resident);
    }

    void touch(page_index page, install_cause cause = install_cause::swap_in) {
        ++touches_;
        page_entry& entry = table_[page];
        if (entry.state() == page_state::resident)
            return;
        page_op op = page_op::install_zero;
        if (entry.state() == page_state::staged) {
            ++taken_back_;
            op = page_op::take_back;
            if (cause != install_cause::one_pass)
                cause = install_cause::take_back;
            --staged_;
        } else {
            ++misses_;
        }
        const std::uint32_t distance = entry.has(page_flag::evicted_before)
                                           ? refault_distance(clock_, entry.evicted_at())
                                           : UINT32_MAX;
        entry.apply(op);
        entry.clear(page_flag::evicted_before);
        policy_->installed(page, cause, distance);
        while (policy_->size() > sizes_.resident)
            evict_cluster();
        while (staged_ > sizes_.staged)
            drop_oldest();
    }

    [[nodiscard]] page_state state(page_index page) const { return table_[page].state(); }
    [[nodiscard]] bool in_memory(page_index page) const {
        return state(page) == page_state::resident || state(page) == page_state::staged;
    }
    [[nodiscard]] std::uint64_t misses() const { return misses_; }
    [[nodiscard]] std::uint64_t taken_back() const { return taken_back_; }
    [[nodiscard]] std::uint64_t flushes() const { return flushes_; }
    [[nodiscard]] double miss_ratio() const {
        return static_cast<double>(misses_) / static_cast<double>(touches_);
    }
    void forget_counts() { touches_ = misses_ = taken_back_ = flushes_ = 0; }
    [[nodiscard]] eviction_policy& policy() { return *policy_; }

  private:
    void evict_cluster() {
        ++flushes_;
        const page_index victim = policy_->next_victim();
        const std::uint32_t base = victim.value / sizes_.cluster * sizes_.cluster;
        for (std::uint32_t i = base; i < std::min(base + sizes_.cluster, sizes_.pages); ++i) {
            const page_index page{i};
            if (state(page) == page_state::resident && (page == victim || !policy_->keep(page)))
                stage(page);
        }
    }
    void stage(page_index page) {
        policy_->removed(page);
        table_[page].apply(page_op::stage);
        table_[page].set_evicted_at(++clock_);
        ++staged_;
        staged_seq_[page.value] = clock_;
        fifo_.push_back({page, clock_});
    }
    /// Entries of pages that were taken back meanwhile are stale.
    void drop_oldest() {
        const auto [page, seq] = fifo_.front();
        fifo_.pop_front();
        if (state(page) != page_state::staged || staged_seq_[page.value] != seq)
            return;
        table_[page].apply(page_op::found_zero); // stands for swapped: what matters is the miss
        --staged_;
    }

    struct staged_page {
        page_index page;
        std::uint32_t seq;
    };

    sizes sizes_;
    page_table table_;
    std::unique_ptr<eviction_policy> policy_;
    std::deque<staged_page> fifo_;
    std::vector<std::uint32_t> staged_seq_;
    std::uint32_t clock_ = 0;
    page_count staged_ = 0;
    std::uint64_t touches_ = 0;
    std::uint64_t misses_ = 0;
    std::uint64_t taken_back_ = 0;
    std::uint64_t flushes_ = 0;
};

} // namespace uffdmm::test
