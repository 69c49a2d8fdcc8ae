// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// S3-FIFO (Yang et al., SOSP 2023), adapted to pages whose accesses are invisible.
///
///     first touch, swap in, prefetch ─► small ── evict ─► staged ───────────► slot (ghost)
///                                                           │                   │
///                         take back: frequency + 1 ◄────────┘                   │
///                            │                                                  │
///                            ▼                                                  │
///                          main ◄── swap in within 3/4 of main's size evictions ┘
///                           │ ▲
///                           │ └── frequency > 0: once more, frequency - 1
///                           └──── frequency 0: evict
///
/// The small queue is where pages prove themselves: what a scan touches once passes through it and
/// leaves main alone. In the original a hit raises the frequency; here the proofs are a fault on a
/// page just evicted (take back) and a fault on one evicted not long ago (its ghost is the eviction
/// clock in the page entry, so ghosts cost no memory).
///
/// How much of the memory small may have is learned, between 8 % and 30 %: a proof of a page that
/// left from small says that small is too little, one of a page that left from main that main is.
/// A fixed tenth loses where a working set moves (pages need two stays to settle in main), and
/// keeps what nobody needs where all faults are proofs and nothing new pushes small's pages out.
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
    explicit s3fifo_policy(page_table& table) : table_(table) {}

    [[nodiscard]] std::string_view name() const noexcept override { return "s3fifo"; }

    void installed(page_index page, install_cause cause, std::uint32_t distance) noexcept override {
        page_entry& entry = table_[page];
        if (cause == install_cause::take_back || proven(cause, distance))
            learn((entry.policy_bits() & in_main) != 0);
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
    /// than this, but 4 to 6 times the flushes. Keeping only pages with two proofs halves the
    /// flushes, for 2 % more faults, and was slower when measured (bench/RESULTS.md).
    [[nodiscard]] bool keep(page_index neighbour) noexcept override {
        page_entry& entry = table_[neighbour];
        const unsigned bits = entry.policy_bits();
        if (frequency(bits) == 0)
            return false;
        entry.set_policy_bits(bits - 1);
        return true;
    }

    void requeue(page_index page) noexcept override { reinsert(page, table_[page].policy_bits()); }
    void resize(page_count) noexcept override {} // goes by what it holds
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

    // Small's share of the pages, in parts of 2^16.
    static constexpr std::uint32_t first_share = 65536 / 10;
    static constexpr std::uint32_t least_share = 65536 * 8 / 100;
    static constexpr std::uint32_t most_share = 65536 * 3 / 10;
    static constexpr std::uint32_t share_step = 16; ///< for each proof

    [[nodiscard]] static unsigned frequency(unsigned bits) { return bits & max_frequency; }
    [[nodiscard]] page_list& queue_of(unsigned bits) {
        return (bits & in_main) != 0 ? main_ : small_;
    }

    /// A page evicted so recently that a cache of three quarters of main's size would still hold
    /// it: with older ghosts a loop a little larger than the memory counts as proven, and drives
    /// out what is hot. Prefetched pages and one-pass readers prove nothing.
    [[nodiscard]] bool proven(install_cause cause, std::uint32_t distance) const {
        const page_count main = size() - small_limit();
        return distance <= main - main / 4 &&
               (cause == install_cause::swap_in || cause == install_cause::first_touch);
    }

    /// The end of the queue that is over its share. The policy holds a page at least.
    [[nodiscard]] page_index oldest() const {
        const bool from_small = main_.empty() || (!small_.empty() && small_.size() > small_limit());
        return from_small ? small_.back() : main_.back();
    }

    void reinsert(page_index page, unsigned bits) {
        page_entry& entry = table_[page];
        queue_of(entry.policy_bits()).erase(table_, page);
        entry.set_policy_bits(bits);
        queue_of(bits).push_front(table_, page);
    }

    /// Pages that small may have.
    [[nodiscard]] page_count small_limit() const {
        return static_cast<page_count>(std::uint64_t{size()} * share_ >> 16);
    }
    /// A page that was evicted `from_main`, or from small, should have stayed.
    void learn(bool from_main) {
        share_ = from_main ? std::max(share_ - share_step, least_share)
                           : std::min(share_ + share_step, most_share);
    }

    page_table& table_; ///< owned by the shard, which outlives the policy
    page_list small_;   ///< youngest at the front, as in main_
    page_list main_;
    std::uint32_t share_ = first_share;
};

} // namespace uffdmm
