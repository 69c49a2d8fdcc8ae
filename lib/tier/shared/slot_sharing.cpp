// SPDX-License-Identifier: BSD-3-Clause
#include "tier/shared/slot_sharing.hpp"

#include <utility>

namespace uffdmm {
namespace {

/// Extents whose leases end in one poll(): a look at a word each where they are not this shard's.
constexpr std::uint32_t most_extents_in_poll = 32;

/// Adopted extents that become the allocator's in one call.
constexpr unsigned most_taken_over = 16;

} // namespace

slot_run slot_sharing::allocate(std::uint32_t wanted) noexcept {
    for (unsigned n = 0; n < most_taken_over && slots_.held() <= enough(); ++n)
        if (!take_over(pool_.slots_per_extent() / 4))
            break;
    slot_run run =
        slots_.allocate(wanted, slots_.held() <= enough() ? slot_allocator::growth::as_needed
                                                          : slot_allocator::growth::none);
    if (run.count == 0 && take_over(1))
        run = slots_.allocate(wanted);
    volume_->extent_taken();
    return run;
}

/// Whether the allocator has another of the adopted extents, with so many free slots.
bool slot_sharing::take_over(std::uint32_t least_free) noexcept {
    const std::uint32_t extent = volume_->adopted().take_over(slots_.owner(), least_free);
    if (extent == no_extent)
        return false;
    const std::uint64_t before = slots_.used();
    slots_.take_over(extent);
    adopted_ -= slots_.used() - before;
    return true;
}

result<location> slot_sharing::locate(std::uint32_t slot, std::uint32_t slot_generation,
                                      std::uint32_t checksum) noexcept {
    if (!slots_.holds(slot) && volume_->adopted().is_foreign(slot))
        return error{errc::wrong_state, 0, "locate: the slot is another manager's so far"};
    // A sweep that goes on would end this lease too. What it has not freed waits for the next.
    next_to_end_ = pool_.extents();
    if (!std::exchange(leasing_, true))
        volume_->leases().begin_leasing();
    volume_->leases().tell(slot);
    location place;
    place.store = volume_->id();
    place.offset = volume_->store()->offset_of(slot);
    place.generation =
        pool_.generation(pool_.extent_of(slot)) << slot_naming::generation_bits | slot_generation;
    place.checksum = checksum;
    place.kind = volume_->kind();
    return place;
}

bool slot_sharing::poll() noexcept {
    for (std::uint32_t n = 0; n < most_extents_in_poll && next_to_end_ < pool_.extents(); ++n) {
        const std::uint32_t extent = next_to_end_++;
        if (pool_.owner_of(extent) != slots_.owner() &&
            !volume_->adopted().concerns(extent, slots_.owner()))
            continue;
        const auto free_kept = [this](std::uint32_t slot) {
            free(slot);
            kept_ -= kept_ != 0 ? 1 : 0; // of an extent of several shards it may be another's
        };
        if (volume_->adopted().is_of_several(extent))
            volume_->leases().end_of_several(extent, free_kept);
        else
            volume_->leases().end(extent, free_kept);
    }
    return next_to_end_ < pool_.extents();
}

result<slot_sharing::adopted_slot> slot_sharing::adopt(const location& place) noexcept {
    if (place.store != volume_->id() || place.kind != volume_->kind())
        return error{errc::not_found, 0, "adopt: the location is in another store"};
    if (!volume_->attached())
        return error{errc::wrong_state, 0, "adopt: no volume is attached"};
    const std::uint64_t first = volume_->store()->offset_of(0);
    const std::uint64_t number = (place.offset - first) >> page_shift;
    if (place.offset < first || !is_page_aligned(place.offset - first) || number >= pool_.slots() ||
        place.length != page_size)
        return error{errc::not_found, 0, "adopt: the location is outside of the store's pages"};
    const std::uint64_t generation = place.generation >> slot_naming::generation_bits;
    if (generation == 0 || generation > most_extent_generation)
        return error{errc::corrupt, 0, "adopt: no extent has the location's generation"};
    const auto slot = static_cast<std::uint32_t>(number);
    if (const auto done = volume_->adopted().adopt(slot, generation, slots_.owner()); !done)
        return done.failure();
    ++adopted_;
    return adopted_slot{slot, static_cast<std::uint32_t>(place.generation) &
                                  (slot_naming::generations - 1)};
}

} // namespace uffdmm
