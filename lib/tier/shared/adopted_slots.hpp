// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Slots that another manager has written: read here, while they are its own and afterwards.
///
///                       adopt                     accept
///     none ───────────────────────► foreign ─────────────────► accepted
///      ▲                               │                          │ last slot released,
///      │            detach;            │                          │ or take_over
///      ├───────────────────────────────┘                          ▼
///      └──────────────────────────────────────────────────────── own
///                     withdrawn (and granted again)
///
/// That is an extent's standing. In a foreign extent slots are only read. In an accepted one they
/// are freed, and not given out again before the extent is own: when it is empty, or when the shard
/// that alone has adopted from it takes it over.
///
/// Any shard may adopt and release in any extent, so what is kept here is atomic; a slot's record
/// belongs to the shard that has adopted the slot.

#include <atomic>
#include <cstdint>
#include <memory>

#include "tier/file/extent_pool.hpp"
#include "tier/shared/format.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {

class adopted_slots {
  public:
    explicit adopted_slots(extent_pool& pool);

    // ---- shards ----

    /// The slot is in use from now on, its extent being of that generation. invalid_argument: it
    /// was so before; corrupt: the extent is this manager's own, or has another generation.
    [[nodiscard]] result<void> adopt(std::uint32_t slot, std::uint64_t generation,
                                     std::uint32_t owner) noexcept;
    /// Whether the slot is adopted, and its extent foreign or accepted. Takes any number.
    [[nodiscard]] bool holds(std::uint32_t slot) const noexcept;
    [[nodiscard]] bool is_foreign(std::uint32_t slot) const noexcept {
        return get(pool_.extent_of(slot)) == standing::foreign;
    }
    void release(std::uint32_t slot) noexcept;
    /// Whether slots in the extent may be the owner's.
    [[nodiscard]] bool concerns(std::uint32_t extent, std::uint32_t owner) const noexcept;
    /// Whether slots in it may be other owners', too.
    [[nodiscard]] bool is_of_several(std::uint32_t extent) const noexcept {
        return states_[extent].claimer.load(std::memory_order_relaxed) == several;
    }
    /// An accepted extent with at least so many free slots, all others being `owner`'s: it is own
    /// from now on, and in the caller's hands. no_extent if a look at some of them has found none.
    [[nodiscard]] std::uint32_t take_over(std::uint32_t owner, std::uint32_t least_free) noexcept;
    /// The owner goes away: releases what is surely its own.
    void drop(std::uint32_t owner) noexcept;
    /// Slots adopted in extents that are not own.
    [[nodiscard]] std::uint64_t live() const noexcept {
        return all_live_.load(std::memory_order_relaxed);
    }

    // ---- the volume ----

    /// The store has granted the extent. False: something was adopted from it, which is a lie of
    /// whoever sent the location; the extent must not be used.
    [[nodiscard]] bool make_own(std::uint32_t extent) noexcept {
        return change(extent, standing::none, standing::own);
    }
    void give_up_own(std::uint32_t extent) noexcept { set(extent, standing::none); }
    [[nodiscard]] bool any_foreign_live() const noexcept;
    /// Forgets the foreign extents, in which nothing is live.
    void forget_foreign() noexcept;
    /// See volume_table::accept().
    [[nodiscard]] bool fits(std::uint32_t extent, const extent_entry& entry,
                            bool of_source) const noexcept;
    /// Foreign extents are accepted.
    void accept() noexcept;
    /// See volume_table::settle(). An accepted extent without a live slot is none afterwards.
    [[nodiscard]] bool needed(std::uint32_t extent) noexcept;

  private:
    enum class standing : std::uint8_t { none, own, foreign, accepted };

    struct extent_state {
        std::atomic<standing> now{standing::none};
        std::atomic<std::uint32_t> live{0};
        std::atomic<std::uint32_t> claimer{0}; ///< owner number, or `several`
    };
    static constexpr std::uint32_t several = UINT32_MAX;

    // seq_cst: accept() and release() each change one of `now` and `live` and then look at the
    // other, and one of them must see both changes.
    [[nodiscard]] standing get(std::uint32_t extent) const noexcept {
        return states_[extent].now.load(std::memory_order_seq_cst);
    }
    void set(std::uint32_t extent, standing to) noexcept {
        states_[extent].now.store(to, std::memory_order_seq_cst);
    }
    bool change(std::uint32_t extent, standing from, standing to) noexcept {
        return states_[extent].now.compare_exchange_strong(from, to, std::memory_order_seq_cst);
    }
    [[nodiscard]] std::uint32_t live_in(std::uint32_t extent) const noexcept {
        return states_[extent].live.load(std::memory_order_seq_cst);
    }
    [[nodiscard]] std::atomic_ref<std::uint64_t> used_word(std::uint32_t slot) const noexcept;
    void become_none(std::uint32_t extent) noexcept;

    extent_pool& pool_;
    std::unique_ptr<extent_state[]> states_;
    std::atomic<std::uint64_t> all_live_{0};
    std::atomic<std::uint32_t> next_look_{0}; ///< where take_over() goes on
};

} // namespace uffdmm
