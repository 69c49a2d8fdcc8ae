// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Second chance: FIFO, except that a page which was taken back from the staged list (the one proof
/// of use there is) carries a reference bit and is passed over once.

#include "uffdmm/policy.hpp"
#include "uffdmm/policy/check_list.hpp"

namespace uffdmm {

class second_chance_policy final : public eviction_policy {
  public:
    explicit second_chance_policy(page_table& table) : table_(table) {}

    [[nodiscard]] std::string_view name() const noexcept override { return "second_chance"; }

    void installed(page_index page, install_cause cause, std::uint32_t) noexcept override {
        table_[page].set_policy_bits(cause == install_cause::take_back ? referenced : 0);
        pages_.push_front(table_, page);
    }
    void removed(page_index page) noexcept override { pages_.erase(table_, page); }

    [[nodiscard]] page_index next_victim() noexcept override {
        // Bounded: with nothing but referenced pages the oldest goes after a full batch of chances.
        for (unsigned step = 0; step < max_steps && !pages_.empty(); ++step)
            if (!pass_over(pages_.back()))
                break;
        return pages_.back();
    }
    [[nodiscard]] bool keep(page_index neighbour) noexcept override { return pass_over(neighbour); }
    void requeue(page_index page) noexcept override { make_youngest(page); }
    void resize(page_count) noexcept override {}
    [[nodiscard]] page_count size() const noexcept override { return pages_.size(); }
    void check_invariants() const noexcept override {
        check_list(table_, pages_,
                   [](const page_entry& entry) { return entry.policy_bits() <= referenced; });
    }

  private:
    static constexpr unsigned referenced = 1;
    static constexpr unsigned max_steps = 64;

    /// Spends the page's chance, if it has one.
    bool pass_over(page_index page) {
        page_entry& entry = table_[page];
        if (entry.policy_bits() != referenced)
            return false;
        entry.set_policy_bits(0);
        make_youngest(page);
        return true;
    }
    void make_youngest(page_index page) {
        pages_.erase(table_, page);
        pages_.push_front(table_, page);
    }

    page_table& table_; ///< owned by the shard, which outlives the policy
    page_list pages_;   ///< youngest at the front
};

} // namespace uffdmm
