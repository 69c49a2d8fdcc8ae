// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The eviction policy interface: which resident page leaves the guest next.
///
/// A resident page's accesses are invisible, so a policy learns from three things only: that a page
/// was installed and why, that it was taken back from the staged list soon after it left (it was
/// still hot), and how long ago it had been evicted (its ghost, kept in the page entry).
/// The engine evicts virtually contiguous clusters, because one ioctl and one TLB flush then serve
/// many pages: it asks next_victim() for a page and keep() about each resident neighbour of it.
///
/// To add a policy: derive, keep lists with page_list and up to four bits per page with
/// page_entry::policy_bits(), pass a factory in region_config::make_policy. All calls come from the
/// shard thread. No call may allocate.

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "uffdmm/engine/page_table.hpp"
#include "uffdmm/export.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

enum class install_cause : std::uint8_t {
    first_touch, ///< untouched page
    take_back,   ///< fault on a staged page: it was evicted too early
    swap_in,     ///< fault on a swapped page
    prefetch,    ///< brought in without a fault
    one_pass,    ///< touched by a reader known to sweep memory once: do not promote
    huge_page    ///< part of the huge page that was installed for a first touch of it
};

/// Pages evicted since `evicted_at`: the refault distance in pages.
[[nodiscard]] constexpr std::uint32_t refault_distance(std::uint32_t clock,
                                                       std::uint32_t evicted_at) {
    return clock - evicted_at;
}

class UFFDMM_CXX_API eviction_policy {
  public:
    eviction_policy() = default;
    eviction_policy(const eviction_policy&) = delete;
    eviction_policy& operator=(const eviction_policy&) = delete;
    virtual ~eviction_policy() = default;

    [[nodiscard]] virtual std::string_view name() const noexcept = 0;

    /// `page` became resident. `distance` is its refault distance, or UINT32_MAX if it was never
    /// evicted. The page's links and policy bits are the policy's until removed().
    virtual void installed(page_index page, install_cause cause,
                           std::uint32_t distance) noexcept = 0;

    /// `page` is no longer resident (evicted as a neighbour, discarded, or taken by next_victim()).
    /// Called before the engine reuses the page's links.
    virtual void removed(page_index page) noexcept = 0;

    /// The page to evict next, still in its list (the engine calls removed() when it really left,
    /// or requeue() when it could not), or no_page if the policy holds none. A policy may move
    /// pages between its lists while it looks, and must end in bounded time.
    [[nodiscard]] virtual page_index next_victim() noexcept = 0;

    /// Whether a resident neighbour of a victim should stay. Answering false costs it a refault
    /// from the staged list at worst. A policy may age the page here.
    [[nodiscard]] virtual bool keep(page_index neighbour) noexcept = 0;

    /// `page` was offered by next_victim() but could not be evicted now (pinned, busy): move it
    /// out of the way.
    virtual void requeue(page_index page) noexcept = 0;

    /// How many pages the shard may hold resident at present.
    virtual void resize(page_count capacity) noexcept = 0;

    /// Pages the policy holds: equals the number of resident pages.
    [[nodiscard]] virtual page_count size() const noexcept = 0;

    /// Debug: walks its lists and aborts if they are inconsistent.
    virtual void check_invariants() const noexcept {}
};

/// Makes a policy over the shard's page table, which outlives it.
using policy_factory = std::function<std::unique_ptr<eviction_policy>(page_table&)>;

} // namespace uffdmm
