// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Reclaim ahead of need: keeps free memory between two watermarks and a share of it staged.
///
///     guest ──evict──► staged (FIFO, second chance) ──drain──► tier ──► dead frame ──release──►
///     free
///
/// Starts below the low watermark of free memory, stops above the high one. Work comes in slices,
/// so that faults are answered in between. A shard reclaims while it is above its fair share, or
/// when everybody is; one that is below it squeezes the others.

#include <algorithm>
#include <utility>

#include "uffdmm/engine/evictor.hpp"
#include "uffdmm/engine/installer.hpp"
#include "uffdmm/engine/shard_core.hpp"
#include "uffdmm/engine/swap_out.hpp"

namespace uffdmm {

template <kernel Kernel>
class reclaimer {
  public:
    reclaimer(shard_core<Kernel>& core, installer<Kernel>& install, evictor<Kernel>& evicts,
              swap_out<Kernel>& writes)
        : core_(core), installer_(install), evictor_(evicts), writes_(writes) {
        refresh_watermarks();
    }

    /// What the last step could not go on without.
    enum class need : std::uint8_t {
        nothing, ///< enough is free
        more,    ///< call again soon
        writes,  ///< tier writes under way must end, or other shards give memory up
        event,   ///< an event must be read
        tiers    ///< no tier takes pages and nothing can leave without one
    };

    /// One slice. `starving`: somebody waits for memory.
    need step(bool starving) {
        settle_tier_memory();
        refresh_watermarks();
        const std::int64_t free = core_.free_pages();
        const bool was_active =
            std::exchange(active_, starving || free < low_ || (active_ && free < high_));
        if (free >= low_) {
            core_.may_exceed = false;
            core_.growth_reserve = growth_reserve_;
        }
        if (!active_) {
            fruitless_ = 0;
            waiting_since_ = 0;
            try_again_at_ = 0;
            (void)release_dead(false);
            return need::nothing;
        }
        // Memory that nobody needs goes before memory that somebody might.
        if (!was_active && tidy())
            return need::more;
        if (core_.step_ns < try_again_at_)
            return need::tiers;
        if (!is_my_turn(starving))
            return need::writes;
        return slice(starving);
    }

    /// Whether there are dead frames to be given back.
    [[nodiscard]] bool untidy() const {
        return core_.frames.dead() != 0 || core_.frames.has_finished();
    }
    /// Gives dead frames back while there is nothing better to do. Returns whether there were any.
    bool tidy() {
        if (!untidy())
            return false;
        (void)release(true);
        return true;
    }

    /// Nothing is to be evicted any more, so prefetching need not leave memory for faults.
    void stop_reserving() {
        installer_.set_reserves(0, 0);
        core_.growth_reserve = growth_reserve_ = 0;
    }

    [[nodiscard]] bool active() const { return active_; }

    /// Demotion needs no memory pressure: a tier that is nearly full is pressure enough.
    bool demote() { return writes_.demote(); }

    /// Charges what the tiers' own memory has grown by.
    void settle_tier_memory() {
        if (!core_.chain.refresh_counters())
            return;
        const byte_count now = core_.chain.memory_bytes();
        if (now > charged_tier_memory_)
            core_.money.charge(now - charged_tier_memory_);
        else if (now < charged_tier_memory_)
            core_.money.uncharge(charged_tier_memory_ - now);
        charged_tier_memory_ = now;
        core_.counts.tier_memory_bytes.set(now);
    }

    /// Takes the frames of dead pages out of memory; returns how many.
    page_count release(bool partial) {
        const page_count n = core_.frames.release(partial, release_runs, [&](auto runs) {
            const kernel_result r = core_.os.release_frames(runs);
            UFFDMM_CHECK(r.status == kernel_status::ok, "frames can always be given back");
        });
        if (n != 0) {
            ++core_.counts.frame_releases;
            core_.uncharge(n);
        }
        return n;
    }

  private:
    static constexpr std::size_t release_runs = 64;
    /// Dead frames that make a release worth its TLB flush, by how badly memory is needed.
    static constexpr page_count worth_releasing = 64;
    static constexpr page_count worth_releasing_soon = 16;
    /// Slices in vain after which nothing more is expected to leave, beyond one for each staged
    /// cluster: pages busy in the kernel or pinned may hide others behind them.
    static constexpr std::size_t most_blocked = 64;
    /// Pages by which tiers may grow, as far as free memory is kept for it.
    static constexpr std::int64_t most_growth = 128;
    static constexpr std::int64_t fewest_stores = 32;
    /// How long after a one-pass reader's fault the next one is expected.
    static constexpr std::uint64_t readers_go_on_ns = 10'000'000;
    /// When nothing can leave, how long until it is tried again.
    static constexpr std::uint64_t hopeless_ns = 10'000'000;
    /// How long other shards are given to give up what is ours.
    static constexpr std::uint64_t patience_ns = 500'000'000;

    void refresh_watermarks() {
        const std::int64_t share = core_.money.fair_share() / static_cast<std::int64_t>(page_size);
        if (share == share_)
            return;
        share_ = share;
        low_ = std::max<std::int64_t>(share * core_.tuning.low_watermark_permille / 1000, 32);
        high_ = std::max(share * core_.tuning.high_watermark_permille / 1000, 2 * low_);
        staged_target_ = std::max<std::int64_t>(share * core_.tuning.staged_percent / 100, 1);
        core_.growth_reserve = growth_reserve_ =
            static_cast<page_count>(std::min(low_ / 2, most_growth));
        // Prefetching may start reclaim, arrivals need not.
        installer_.set_reserves(static_cast<page_count>(low_ / 4 * 3),
                                static_cast<page_count>(low_));
        core_.policy->resize(
            static_cast<page_count>(std::max<std::int64_t>(share - staged_target_, 64)));
    }

    /// Whether this shard should give memory up. One below its share asks the others first, but
    /// does not wait for them while faults starve.
    [[nodiscard]] bool is_my_turn(bool starving) {
        if (!below_share())
            return true;
        if (++asked_ % 64 == 1)
            core_.money.squeeze_others();
        return starving;
    }
    [[nodiscard]] bool below_share() const {
        return core_.money.granted() + high_bytes() < core_.money.fair_share();
    }
    [[nodiscard]] std::int64_t high_bytes() const {
        return high_ * static_cast<std::int64_t>(page_size);
    }

    /// One thing a slice, if it gets reclaim any further: giving back, writing, or evicting. A
    /// fault that arrives meanwhile waits for that one alone.
    need slice(bool starving) {
        if (release_dead(starving))
            return went_on();
        if (!starving && reader_is_at_work())
            return need::nothing;
        const bool offers = may_offer();
        // What a one-pass reader has left behind goes before staged pages that the guest may miss.
        if (offers && passing_first_ == 0 && any_left(evict_passed()))
            return went_on();
        const bool offered = offers && drain_oldest();
        const bool freed = std::exchange(freed_, writes_.freed()) != freed_;
        if (offered && freed)
            return went_on();
        evict_status how = evict_status::done;
        bool evicted = false;
        if (pending() < staged_target_) {
            how = evict();
            evicted = any_left(how);
        }
        if (freed || evicted)
            return went_on();
        fruitless_ += offered || writes_.in_flight() == 0 ? 1 : 0;
        return what_now(how);
    }
    [[nodiscard]] static bool any_left(evict_status how) {
        return how == evict_status::done || how == evict_status::dropped;
    }
    need went_on() {
        fruitless_ = 0;
        waiting_since_ = 0;
        return core_.free_pages() >= high_ ? need::nothing : need::more;
    }
    /// After a slice without progress.
    need what_now(evict_status how) {
        if (how == evict_status::parked)
            return need::event;
        if (how == evict_status::fresh)
            return need::more; // it will not be for long
        if (tidy())
            return need::more;
        if (fruitless_ > most_fruitless(how)) {
            if (others_may_give())
                return need::writes;
            try_again_at_ = core_.step_ns + hopeless_ns;
            core_.growth_reserve = 0; // nothing is stored, so nothing grows
            return need::tiers;
        }
        return writes_.in_flight() != 0 ? need::writes : need::more;
    }

    /// A shard below its share that has nothing to give up itself waits for those that hold its
    /// share, as long as they can be expected to be at it.
    [[nodiscard]] bool others_may_give() {
        if (!below_share())
            return false;
        if (waiting_since_ == 0)
            waiting_since_ = core_.step_ns;
        return core_.step_ns - waiting_since_ < patience_ns;
    }

    /// Staged pages that wait for their turn. What the tiers do not want stays where it is, and
    /// others leave in its stead; but where that is half of the memory, the rest is likely to be
    /// no better, and is of more use in the guest.
    [[nodiscard]] std::int64_t pending() const {
        const auto kept = std::int64_t{core_.frames.kept()};
        return std::int64_t{core_.frames.staged()} - std::min(kept, share_ / 2);
    }

    /// Few at a time cost a TLB flush each, so they are collected; the fewer, the more urgent.
    bool release_dead(bool starving) {
        const page_count dead = core_.frames.dead();
        const bool soon = core_.free_pages() < low_ / 2 || !core_.frames.has_free_cluster();
        const page_count worth = starving ? 1 : soon ? worth_releasing_soon : worth_releasing;
        return dead >= worth && release(true) != 0;
    }

    /// A one-pass reader will soon have left pages behind, and there is room until then: nothing
    /// that the guest uses has to go. Its next fault tells which.
    [[nodiscard]] bool reader_is_at_work() {
        return passing_first_ == 0 && core_.passed.empty() && core_.one_pass_ns != 0 &&
               core_.step_ns - core_.one_pass_ns < readers_go_on_ns &&
               core_.free_pages() > std::int64_t{growth_reserve_};
    }
    /// Stores into memory of ours are under way for no more than there is room for, lest they
    /// exceed the limit until their frames are given back; a few always are.
    [[nodiscard]] bool may_offer() {
        const std::int64_t free = core_.free_pages();
        if (free + freeing() >= high_)
            return false;
        return !core_.chain.stores_in_memory() ||
               std::int64_t{core_.frames.storing()} < std::max(free, fewest_stores);
    }
    /// Frames that will be free soon.
    [[nodiscard]] std::int64_t freeing() const {
        return std::int64_t{core_.frames.dead()} + core_.frames.storing();
    }
    /// Every staged cluster was offered in vain, and every page that might leave was tried.
    [[nodiscard]] std::size_t most_fruitless(evict_status how) const {
        const std::size_t offers = core_.frames.living();
        if (how != evict_status::blocked)
            return offers;
        return offers + most_blocked +
               core_.counts.pinned_pages.load() / evictor<Kernel>::most_passed_over;
    }

    evict_status evict() {
        evict_status how = evict_once();
        if (how == evict_status::no_room && core_.frames.has_finished()) {
            (void)release(false);
            how = evict_once();
        }
        core_.counts.eagain_retries += how == evict_status::parked ? 1 : 0;
        return how;
    }

    [[nodiscard]] evict_status evict_passed() {
        const evict_status how = evictor_.evict_passed();
        passing_first_ += how == evict_status::done ? 1 : 0;
        return how;
    }
    [[nodiscard]] bool drain_oldest() {
        passing_first_ -= passing_first_ != 0 ? 1 : 0;
        return writes_.drain_oldest();
    }

    evict_status evict_once() {
        const evict_status passed = evict_passed();
        const bool settled = passed != evict_status::nothing && passed != evict_status::blocked;
        return settled ? passed : evictor_.evict_cluster();
    }

    shard_core<Kernel>& core_;
    installer<Kernel>& installer_;
    evictor<Kernel>& evictor_;
    swap_out<Kernel>& writes_;
    std::int64_t share_ = -1;
    std::int64_t low_ = 0;           ///< pages
    std::int64_t high_ = 0;          ///< pages
    std::int64_t staged_target_ = 0; ///< pages
    page_count growth_reserve_ = 0;
    byte_count charged_tier_memory_ = 0;
    std::size_t passing_first_ = 0; ///< clusters of a reader's pages that are staged as the oldest
    std::uint64_t freed_ = 0;       ///< writes_.freed() at the last slice
    std::size_t fruitless_ = 0;     ///< slices without progress in a row
    std::uint64_t waiting_since_ = 0; ///< for other shards; 0: not waiting
    std::uint64_t try_again_at_ = 0;
    unsigned asked_ = 0;
    bool active_ = false;
};

} // namespace uffdmm
