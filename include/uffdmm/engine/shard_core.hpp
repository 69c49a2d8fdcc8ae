// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What the parts of a shard share: the kernel, the page table, the policy, the frames, the tiers,
/// the account and the counters. Everything is passed in; nothing here runs by itself.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "uffdmm/config.hpp"
#include "uffdmm/engine/budget.hpp"
#include "uffdmm/engine/counter.hpp"
#include "uffdmm/engine/fresh_pages.hpp"
#include "uffdmm/engine/histogram.hpp"
#include "uffdmm/engine/huge_blocks.hpp"
#include "uffdmm/engine/kernel.hpp"
#include "uffdmm/engine/page_table.hpp"
#include "uffdmm/engine/page_watch.hpp"
#include "uffdmm/engine/passing_pages.hpp"
#include "uffdmm/engine/staging.hpp"
#include "uffdmm/engine/tier_chain.hpp"
#include "uffdmm/engine/write_forecast.hpp"
#include "uffdmm/policy.hpp"
#include "uffdmm/prefetcher.hpp"
#include "uffdmm/stats.hpp"

namespace uffdmm {

/// Counters of one shard; see struct stats for what each means. One writer, any reader.
struct shard_counters {
    counter resident_pages; ///< mapped in the guest, or promised to a read under way
    counter staged_pages;   ///< frames that hold memory
    counter metadata_bytes;
    counter tier_memory_bytes;
    counter poisoned_pages;
    counter pinned_pages;
    counter faults;
    std::array<counter, resolutions> faults_by_resolution;
    std::array<histogram, resolutions> fault_latency;
    counter duplicate_faults;
    counter refaults;
    counter direct_reclaims;
    counter eagain_retries;
    counter eexist_races;
    counter evicted_pages;
    counter evict_ioctls;
    counter busy_pages;
    counter dropped_clean;
    counter dropped_zero;
    counter dropped_same_filled;
    counter same_filled_pages;
    counter same_filled_reads;
    counter swapped_out;
    counter frame_releases;
    counter discarded_pages;
    counter prefetched_pages;
    counter prefetch_hits;
    counter prefetch_waste;
    counter huge_installs;
    counter one_pass_faults;
    counter unexpected_messages;
    counter foreign_pages;
    counter migration_reads;
};

/// What a shard is tuned by; derived from manager_config and region_config.
struct shard_tuning {
    unsigned staged_percent = 12;
    unsigned low_watermark_permille = 15;
    unsigned high_watermark_permille = 30;
    std::uint64_t read_retry_ns = 2'000'000'000;
    on_swap_full when_full = on_swap_full::exceed;
};

/// Told about events on the shard thread; must not block.
class shard_observer {
  public:
    virtual void on_event(const event& what) noexcept = 0;

  protected:
    ~shard_observer() = default;
};

template <kernel Kernel>
struct shard_core {
    shard_core(Kernel& k, const shard_tuning& tune, budget& shared, squeeze_listener& squeezed,
               const policy_factory& make_policy, const prefetcher_factory& make_prefetcher,
               std::vector<std::unique_ptr<swap_tier>> tiers, shard_observer& watcher)
        : os(k), traits(k.traits()), tuning(tune), table(k.pages()), frames(k.frames()),
          chain(std::move(tiers)), money(shared, k.pages(), squeezed), policy(make_policy(table)),
          prefetch(make_prefetcher(k.pages())), observer(watcher),
          huge(k.pages(), k.address({0}), k.traits().huge_page) {}

    Kernel& os;
    const kernel_traits traits;
    const shard_tuning tuning;
    page_table table;
    staging frames;
    tier_chain chain;
    account money;
    std::unique_ptr<eviction_policy> policy;
    std::unique_ptr<prefetcher> prefetch;
    shard_observer& observer;
    shard_counters counts;
    std::uint32_t clock = 0; ///< pages evicted so far: the unit of refault distance
    /// Free pages that not even faults take: stores under way may grow a tier's memory before the
    /// frames they free are given back.
    page_count growth_reserve = 0;
    bool may_exceed = false; ///< nothing can be reclaimed: faults are served beyond the limit
    bool used = false;       ///< some page has not always been untouched
    fresh_pages fresh;
    passing_pages passed; ///< what one-pass readers have done with
    page_watch watch;     ///< what a migration looks at
    huge_blocks huge;
    write_forecast writes_ahead;
    /// A page that a fault waits for although its contents are to come; no_page if none does.
    /// Relaxed: a hint to who brings them, which is set again as long as the fault waits.
    std::atomic<std::uint32_t> awaited{no_page.value};
    std::uint64_t step_ns = 0;       ///< the clock at the start of this step
    std::uint64_t one_pass_ns = 0;   ///< step in which a one-pass reader last faulted
    std::uint64_t window_cut_ns = 0; ///< step in which memory was last too short for a prefetch
    std::uint64_t slow_fault_ns = 0; ///< step in which a fault last had to wait for a slow tier

    [[nodiscard]] page_count pages() const { return table.size(); }

    /// Charges one page, or `n`, for something about to become resident. `reserve`: free pages to
    /// leave alone, for what nobody waits for.
    [[nodiscard]] bool try_charge(page_count n = 1, page_count reserve = 0) {
        if (money.try_charge(bytes_of(n), bytes_of(std::max(reserve, growth_reserve))))
            return true;
        if (reserve != 0)
            window_cut_ns = step_ns;
        if (!may_exceed || reserve != 0)
            return false;
        money.charge(bytes_of(n));
        return true;
    }
    void uncharge(page_count n) { money.uncharge(bytes_of(n)); }

    void record(resolution kind, std::uint64_t asked_ns) {
        const auto k = static_cast<unsigned>(kind);
        ++counts.faults_by_resolution[k];
        counts.fault_latency[k].record(os.now_ns() - asked_ns);
    }

    /// Free pages as reclaim counts them; negative when over the limit, or over the share that
    /// others ask for.
    [[nodiscard]] std::int64_t free_pages() {
        return money.headroom() / static_cast<std::int64_t>(page_size);
    }

    [[nodiscard]] std::uint32_t distance(const page_entry& entry) const {
        return entry.has(page_flag::evicted_before) ? refault_distance(clock, entry.evicted_at())
                                                    : UINT32_MAX;
    }

    /// Frees the slot an entry names, if any. The entry stops naming it first.
    void forget_slot(page_entry& entry) {
        if (!entry.has(page_flag::has_slot))
            return;
        const tier_number tier = entry.tier();
        const slot_id slot = entry.slot();
        entry.clear_slot();
        if (tier == same_filled_tier)
            --counts.same_filled_pages;
        else
            chain.release(tier, slot);
    }

    /// Whether the page may be filled with zeros although nobody has asked for it.
    [[nodiscard]] bool fillable(page_index page) const {
        const page_entry& entry = table[page];
        return entry.state() == page_state::untouched && !entry.has(page_flag::pinned) &&
               !entry.has(page_flag::arriving);
    }

    /// Contents that came from elsewhere are where the page's slot says.
    void adopted(page_index page) {
        used = true;
        table[page].clear(page_flag::arriving);
        table[page].apply(page_op::adopt);
        watch.changes(page);
    }

    /// Bookkeeping of a page that `op` just made resident (already charged). The entry's links
    /// belong to the policy from here on.
    void made_resident(page_index page, page_op op, install_cause cause) {
        used = true;
        watch.changes(page);
        page_entry& entry = table[page];
        const std::uint32_t how_far = distance(entry);
        if (cause == install_cause::huge_page)
            entry.clear(page_flag::passing);
        else if (entry.has(page_flag::passing) && cause != install_cause::prefetch)
            cause = install_cause::one_pass;
        if (how_far != UINT32_MAX && is_proof(cause))
            ++counts.refaults;
        entry.apply(op);
        entry.clear(page_flag::evicted_before);
        entry.clear(page_flag::loading);
        entry.clear(page_flag::demoting); // the copy under way is stale from here on
        entry.clear(page_flag::arriving);
        if (cause == install_cause::prefetch) {
            entry.set(page_flag::prefetched);
            ++counts.prefetched_pages;
        } else if (cause != install_cause::huge_page) {
            fresh.add(table, page, step_ns);
        }
        if (cause != install_cause::huge_page)
            huge.has_single(page);
        ++counts.resident_pages;
        policy->installed(page, cause, how_far);
    }

    /// Bookkeeping of a page that stops being resident; the caller applies the operation.
    void leaves_residence(page_index page) {
        watch.changes(page);
        page_entry& entry = table[page];
        policy->removed(page);
        if (entry.has(page_flag::prefetched)) {
            entry.clear(page_flag::prefetched);
            ++counts.prefetch_waste;
            prefetch->wasted(page);
        }
        entry.clear(page_flag::write_protected);
        entry.clear(page_flag::passing);
        if (entry.has(page_flag::fresh))
            fresh.remove(table, page);
        --counts.resident_pages;
    }

    /// Whether an installation says that the guest works with the page.
    [[nodiscard]] static bool is_proof(install_cause cause) {
        return cause != install_cause::prefetch && cause != install_cause::one_pass &&
               cause != install_cause::huge_page;
    }

    void publish() { counts.staged_pages.set(frames.taken()); }
};

} // namespace uffdmm
