// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// S3-FIFO (Yang et al., SOSP 2023), adapted to pages whose accesses are invisible.
///
///     first touch, swap in, prefetch ─► small ── evict ─► staged ───────────► slot (ghost)
///                                                           │                   │
///                         take back: frequency + 1 ◄────────┘                   │
///                            │                                                  │
///                            ▼                                                  │
///                          main ◄── swap in within main's capacity of evictions ┘
///                           │ ▲
///                           │ └── frequency > 0: once more, frequency - 1
///                           └──── frequency 0: evict
///
/// The small queue (a tenth of the capacity) is where pages prove themselves: what a scan touches
/// once passes through it and leaves main alone. In the original a hit raises the frequency; here
/// the proofs are a fault on a page just evicted (take back) and a fault on one evicted not long
/// ago (its ghost is the eviction clock in the page entry, so ghosts cost no memory).
///
/// A page that is taken back again and again is evicted with frequency 0 each time. `hot` remembers
/// across an eviction that the last stay began with a take-back too: such a page gets three rounds
/// instead of one.

#include <algorithm>

#include "uffdmm/policy.hpp"
#include "uffdmm/policy/check_list.hpp"

namespace uffdmm {

class s3fifo_policy final : public eviction_policy {
  public:
    explicit s3fifo_policy(page_table& table) : table_(table) { set_capacity(table.size()); }

    [[nodiscard]] std::string_view name() const noexcept override { return "s3fifo"; }

    void installed(page_index page, install_cause cause, std::uint32_t distance) noexcept override {
        page_entry& entry = table_[page];
        unsigned bits = 0;
        if (cause == install_cause::take_back)
            bits = in_main | hot | ((entry.policy_bits() & hot) != 0 ? max_frequency : 1u);
        else if (proven(cause, distance))
            bits = in_main;
        entry.set_policy_bits(bits);
        queue_of(bits).push_front(table_, page);
    }

    void removed(page_index page) noexcept override {
        queue_of(table_[page].policy_bits()).erase(table_, page);
    }

    [[nodiscard]] page_index next_victim() noexcept override {
        for (unsigned step = 0; step < max_steps && size() != 0; ++step) {
            const page_index page = oldest();
            const unsigned bits = table_[page].policy_bits();
            if (frequency(bits) == 0)
                return page;
            reinsert(page, bits - 1);
        }
        return size() == 0 ? no_page : oldest();
    }

    /// Only pages with a proof stay, and each time one is spent. Keeping all of main while small is
    /// evicted was simulated (zipf with a scan, a quarter of the pages resident): 10 % fewer misses
    /// than this, but 4 to 6 times the flushes.
    [[nodiscard]] bool keep(page_index neighbour) noexcept override {
        page_entry& entry = table_[neighbour];
        const unsigned bits = entry.policy_bits();
        if (frequency(bits) == 0)
            return false;
        entry.set_policy_bits(bits - 1);
        return true;
    }

    void requeue(page_index page) noexcept override { reinsert(page, table_[page].policy_bits()); }
    void resize(page_count capacity) noexcept override { set_capacity(capacity); }
    [[nodiscard]] page_count size() const noexcept override { return small_.size() + main_.size(); }
    [[nodiscard]] page_count small_size() const noexcept { return small_.size(); }
    [[nodiscard]] page_count main_size() const noexcept { return main_.size(); }

    void check_invariants() const noexcept override {
        check_list(table_, small_,
                   [](const page_entry& entry) { return (entry.policy_bits() & in_main) == 0; });
        check_list(table_, main_,
                   [](const page_entry& entry) { return (entry.policy_bits() & in_main) != 0; });
    }

  private:
    // Policy bits of a page entry.
    static constexpr unsigned max_frequency = 3; ///< the low two bits
    static constexpr unsigned in_main = 4;
    static constexpr unsigned hot = 8; ///< came in by a take-back; kept while the page is out

    static constexpr unsigned max_steps = 64;

    [[nodiscard]] static unsigned frequency(unsigned bits) { return bits & max_frequency; }
    [[nodiscard]] page_list& queue_of(unsigned bits) {
        return (bits & in_main) != 0 ? main_ : small_;
    }

    /// A page evicted so recently that a cache of main's size would still hold it. Prefetched pages
    /// and one-pass readers prove nothing.
    [[nodiscard]] bool proven(install_cause cause, std::uint32_t distance) const {
        return distance <= main_capacity_ &&
               (cause == install_cause::swap_in || cause == install_cause::first_touch);
    }

    /// The end of the queue that is over its share. The policy holds a page at least.
    [[nodiscard]] page_index oldest() const {
        const bool from_small =
            main_.empty() || (!small_.empty() && small_.size() > small_capacity_);
        return from_small ? small_.back() : main_.back();
    }

    void reinsert(page_index page, unsigned bits) {
        page_entry& entry = table_[page];
        queue_of(entry.policy_bits()).erase(table_, page);
        entry.set_policy_bits(bits);
        queue_of(bits).push_front(table_, page);
    }

    void set_capacity(page_count capacity) {
        small_capacity_ = std::max<page_count>(capacity / 10, 1);
        main_capacity_ = capacity - std::min(capacity, small_capacity_);
    }

    page_table& table_; ///< owned by the shard, which outlives the policy
    page_list small_;   ///< youngest at the front, as in main_
    page_list main_;
    page_count small_capacity_ = 0;
    page_count main_capacity_ = 0;
};

} // namespace uffdmm
