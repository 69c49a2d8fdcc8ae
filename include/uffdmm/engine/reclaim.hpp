// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Reclaim ahead of need: keeps free memory between two watermarks and a share of it staged.
///
///     guest ──evict──► staged (FIFO, second chance) ──drain──► tier ──► dead frame ──release──► free
///
/// Starts below the low watermark of free memory, stops above the high one. Work comes in slices, so
/// that faults are answered in between. A shard reclaims while it is above its fair share, or when
/// everybody is; one that is below it squeezes the others.

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

    /// One slice. `starving`: faults wait for memory.
    need step(bool starving) {
        settle_tier_memory();
        refresh_watermarks();
        const std::int64_t free = core_.free_pages();
        active_ = starving || free < low_ || (active_ && free < high_);
        if (free >= low_)
            core_.may_exceed = false;
        if (!active_) {
            fruitless_ = 0;
            return need::nothing;
        }
        if (!is_my_turn(starving))
            return need::writes;
        return slice(starving);
    }

    /// Gives dead frames back while there is nothing better to do. Returns whether there were any.
    bool tidy() { return core_.frames.dead() != 0 && release(true) != 0; }

    /// Nothing is to be evicted any more, so prefetching need not leave memory for faults.
    void stop_reserving() { installer_.set_prefetch_reserve(0); }

    [[nodiscard]] bool active() const { return active_; }

    /// Demotion needs no memory pressure: a tier that is nearly full is pressure enough.
    bool demote() { return writes_.demote(); }

    /// Charges what the tiers' own memory has grown by.
    void settle_tier_memory() {
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
    static constexpr page_count worth_releasing = 64;

    void refresh_watermarks() {
        const std::int64_t share = core_.money.fair_share() / static_cast<std::int64_t>(page_size);
        if (share == share_)
            return;
        share_ = share;
        low_ = std::max<std::int64_t>(share * core_.tuning.low_watermark_permille / 1000, 32);
        high_ = std::max(share * core_.tuning.high_watermark_permille / 1000, 2 * low_);
        staged_target_ = share * core_.tuning.staged_percent / 100;
        installer_.set_prefetch_reserve(static_cast<page_count>(low_ / 2));
        core_.policy->resize(
            static_cast<page_count>(std::max<std::int64_t>(share - staged_target_, 64)));
    }

    /// Whether this shard should give memory up. One below its share asks the others first, but
    /// does not wait for them while faults starve.
    [[nodiscard]] bool is_my_turn(bool starving) {
        const bool below_share = core_.money.granted() + high_bytes() < core_.money.fair_share();
        if (!below_share)
            return true;
        if (++asked_ % 64 == 1)
            core_.money.squeeze_others();
        return starving;
    }
    [[nodiscard]] std::int64_t high_bytes() const {
        return high_ * static_cast<std::int64_t>(page_size);
    }

    need slice(bool starving) {
        bool progress = std::exchange(freed_, writes_.freed()) != freed_;
        progress |= release_dead(starving);
        if (core_.free_pages() + freeing() < high_)
            (void)writes_.drain_oldest();
        need blocked = need::nothing;
        if (core_.frames.staged() < std::max<std::int64_t>(staged_target_, 1))
            progress |= evict(blocked);
        fruitless_ = progress ? 0 : fruitless_ + 1;
        if (progress)
            return core_.free_pages() >= high_ ? need::nothing : need::more;
        if (blocked == need::event)
            return blocked;
        if (writes_.in_flight() != 0)
            return need::writes;
        if (core_.frames.dead() != 0)
            return release(true) != 0 ? need::more : need::nothing;
        return fruitless() ? need::tiers : need::more;
    }

    /// Few at a time cost a TLB flush each, so they are collected unless somebody waits.
    bool release_dead(bool starving) {
        const page_count dead = core_.frames.dead();
        if (core_.frames.has_finished() && (dead >= worth_releasing || starving))
            return release(false) != 0;
        if (dead > 4 * worth_releasing || (starving && dead != 0))
            return release(true) != 0;
        return false;
    }

    /// Frames that will be free soon.
    [[nodiscard]] std::int64_t freeing() const {
        return std::int64_t{core_.frames.dead()} + core_.frames.storing();
    }
    /// Every staged cluster was offered in vain, and nothing else helped.
    [[nodiscard]] bool fruitless() const { return fruitless_ > core_.frames.fifo_size(); }

    bool evict(need& blocked) {
        switch (evictor_.evict_cluster()) {
        case evict_status::done:
            return true;
        case evict_status::parked:
            ++core_.counts.eagain_retries;
            blocked = need::event;
            return false;
        case evict_status::blocked:
        case evict_status::no_room:
        case evict_status::nothing:
            return false;
        }
        return false;
    }

    shard_core<Kernel>& core_;
    installer<Kernel>& installer_;
    evictor<Kernel>& evictor_;
    swap_out<Kernel>& writes_;
    std::int64_t share_ = -1;
    std::int64_t low_ = 0;           ///< pages
    std::int64_t high_ = 0;          ///< pages
    std::int64_t staged_target_ = 0; ///< pages
    byte_count charged_tier_memory_ = 0;
    std::uint64_t freed_ = 0;   ///< writes_.freed() at the last slice
    std::size_t fruitless_ = 0; ///< slices without progress in a row
    unsigned asked_ = 0;
    bool active_ = false;
};

} // namespace uffdmm
