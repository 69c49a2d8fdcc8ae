// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// First in, first out: the page longest resident leaves first. Learns nothing, so it is the
/// yardstick for the other policies; the staged list alone gives hot pages their second chance.

#include "uffdmm/policy.hpp"
#include "uffdmm/policy/check_list.hpp"

namespace uffdmm {

class fifo_policy final : public eviction_policy {
  public:
    explicit fifo_policy(page_table& table) : table_(table) {}

    [[nodiscard]] std::string_view name() const noexcept override { return "fifo"; }

    void installed(page_index page, install_cause, std::uint32_t) noexcept override {
        pages_.push_front(table_, page);
    }
    void removed(page_index page) noexcept override { pages_.erase(table_, page); }
    [[nodiscard]] page_index next_victim() noexcept override { return pages_.back(); }
    [[nodiscard]] bool keep(page_index) noexcept override { return false; }
    void requeue(page_index page) noexcept override {
        pages_.erase(table_, page);
        pages_.push_front(table_, page);
    }
    void resize(page_count) noexcept override {}
    [[nodiscard]] page_count size() const noexcept override { return pages_.size(); }
    void check_invariants() const noexcept override {
        check_list(table_, pages_, [](const page_entry&) { return true; });
    }

  private:
    page_table& table_; ///< owned by the shard, which outlives the policy
    page_list pages_;   ///< youngest at the front
};

} // namespace uffdmm
