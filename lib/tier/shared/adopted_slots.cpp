// SPDX-License-Identifier: BSD-3-Clause
#include "tier/shared/adopted_slots.hpp"

#include <algorithm>

#include "uffdmm/check.hpp"

namespace uffdmm {
namespace {

/// Extents that take_over() looks at in a call.
constexpr std::uint32_t most_looks = 256;

} // namespace

adopted_slots::adopted_slots(extent_pool& pool)
    : pool_(pool), states_(std::make_unique<extent_state[]>(pool.extents())) {
}

std::atomic_ref<std::uint64_t> adopted_slots::used_word(std::uint32_t slot) const noexcept {
    const std::uint32_t extent = pool_.extent_of(slot);
    return std::atomic_ref(pool_.used(extent)[(slot - pool_.first_slot(extent)) / 64]);
}

result<void> adopted_slots::adopt(std::uint32_t slot, std::uint64_t generation,
                                  std::uint32_t owner) noexcept {
    const std::uint32_t extent = pool_.extent_of(slot);
    extent_state& state = states_[extent];
    if (change(extent, standing::none, standing::foreign))
        pool_.populate(extent);
    if (get(extent) != standing::foreign)
        return error{errc::corrupt, 0, "adopt: the location is in an extent of this manager"};
    if (!pool_.set_generation(extent, generation))
        return error{errc::corrupt, 0, "adopt: the extent has another generation"};
    const std::uint64_t bit = std::uint64_t{1} << slot % 64;
    if ((used_word(slot).fetch_or(bit, std::memory_order_relaxed) & bit) != 0)
        return error{errc::invalid_argument, 0, "adopt: the location is adopted already"};
    state.live.fetch_add(1, std::memory_order_seq_cst);
    all_live_.fetch_add(1, std::memory_order_relaxed);
    std::uint32_t was = 0;
    if (!state.claimer.compare_exchange_strong(was, owner, std::memory_order_relaxed) &&
        was != owner)
        state.claimer.store(several, std::memory_order_relaxed);
    return {};
}

bool adopted_slots::holds(std::uint32_t slot) const noexcept {
    if (slot >= pool_.slots())
        return false;
    const standing now = get(pool_.extent_of(slot));
    return (now == standing::foreign || now == standing::accepted) &&
           (used_word(slot).load(std::memory_order_relaxed) >> slot % 64 & 1) != 0;
}

void adopted_slots::release(std::uint32_t slot) noexcept {
    const std::uint32_t extent = pool_.extent_of(slot);
    const std::uint64_t bit = std::uint64_t{1} << slot % 64;
    // The slot's name does not fit any more.
    const std::uint32_t now = slot_naming::generation_in(pool_.slot_record(slot));
    pool_.set_slot_record(slot, (now + 1) % slot_naming::generations);
    const std::uint64_t before = used_word(slot).fetch_and(~bit, std::memory_order_relaxed);
    UFFDMM_CHECK((before & bit) != 0, "a slot is released once");
    all_live_.fetch_sub(1, std::memory_order_relaxed);
    if (states_[extent].live.fetch_sub(1, std::memory_order_seq_cst) != 1)
        return;
    if (change(extent, standing::accepted, standing::own)) {
        states_[extent].claimer.store(0, std::memory_order_relaxed);
        pool_.give_back(extent);
    }
}

bool adopted_slots::concerns(std::uint32_t extent, std::uint32_t owner) const noexcept {
    const standing now = get(extent);
    const std::uint32_t claimer = states_[extent].claimer.load(std::memory_order_relaxed);
    return (now == standing::foreign || now == standing::accepted) &&
           (claimer == owner || claimer == several);
}

std::uint32_t adopted_slots::take_over(std::uint32_t owner, std::uint32_t least_free) noexcept {
    if (live() == 0)
        return no_extent;
    const std::uint32_t looks = std::min(most_looks, pool_.extents());
    const std::uint32_t from = next_look_.fetch_add(looks, std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < looks; ++i) {
        const std::uint32_t extent = (from + i) % pool_.extents();
        extent_state& state = states_[extent];
        if (get(extent) != standing::accepted ||
            state.claimer.load(std::memory_order_relaxed) != owner)
            continue;
        const std::uint32_t in_use = live_in(extent); // only this owner changes it
        if (in_use + least_free > pool_.slots_in(extent) ||
            !change(extent, standing::accepted, standing::own))
            continue;
        all_live_.fetch_sub(in_use, std::memory_order_relaxed);
        state.live.store(0, std::memory_order_seq_cst);
        state.claimer.store(0, std::memory_order_relaxed);
        pool_.take_over(extent, owner, in_use);
        return extent;
    }
    return no_extent;
}

void adopted_slots::drop(std::uint32_t owner) noexcept {
    for (std::uint32_t extent = 0; extent < pool_.extents(); ++extent) {
        if (!concerns(extent, owner) ||
            states_[extent].claimer.load(std::memory_order_relaxed) == several)
            continue;
        const std::uint32_t end = pool_.first_slot(extent) + pool_.slots_in(extent);
        for (std::uint32_t slot = pool_.first_slot(extent); slot < end; ++slot)
            if (holds(slot))
                release(slot);
    }
}

// ---- the volume ---------------------------------------------------------------------------------

bool adopted_slots::any_foreign_live() const noexcept {
    for (std::uint32_t extent = 0; extent < pool_.extents(); ++extent)
        if (get(extent) == standing::foreign && live_in(extent) != 0)
            return true;
    return false;
}

void adopted_slots::become_none(std::uint32_t extent) noexcept {
    states_[extent].claimer.store(0, std::memory_order_relaxed);
    pool_.forget_generation(extent);
}

void adopted_slots::forget_foreign() noexcept {
    for (std::uint32_t extent = 0; extent < pool_.extents(); ++extent)
        if (get(extent) == standing::foreign) {
            become_none(extent);
            set(extent, standing::none);
        }
}

bool adopted_slots::fits(std::uint32_t extent, const extent_entry& entry,
                         bool of_source) const noexcept {
    if (get(extent) != standing::foreign || live_in(extent) == 0)
        return true;
    return of_source && entry.generation == pool_.generation(extent);
}

void adopted_slots::accept() noexcept {
    for (std::uint32_t extent = 0; extent < pool_.extents(); ++extent)
        (void)change(extent, standing::foreign, standing::accepted);
}

bool adopted_slots::needed(std::uint32_t extent) noexcept {
    if (get(extent) == standing::accepted && live_in(extent) == 0 &&
        change(extent, standing::accepted, standing::none))
        become_none(extent);
    return get(extent) != standing::none;
}

} // namespace uffdmm
