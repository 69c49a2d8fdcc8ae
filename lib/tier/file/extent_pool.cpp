// SPDX-License-Identifier: BSD-3-Clause
#include "tier/file/extent_pool.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "uffdmm/check.hpp"

namespace uffdmm {
namespace {

std::unique_ptr<std::atomic<std::uint64_t>[]> bitmap(std::uint32_t bits) {
    return std::make_unique<std::atomic<std::uint64_t>[]>((bits + 63) / 64);
}

} // namespace

std::uint32_t extent_shift_for(std::uint32_t slots) noexcept {
    const std::uint32_t wanted = std::bit_floor(std::max(slots / 64, 1u));
    return static_cast<std::uint32_t>(std::countr_zero(std::clamp(wanted, 64u, 1024u)));
}

extent_pool::extent_pool(std::uint32_t slots) : extent_pool(slots, extent_shift_for(slots)) {
    for (std::uint32_t extent = 0; extent < extents_; ++extent)
        free_[extent / 64].fetch_or(std::uint64_t{1} << extent % 64, std::memory_order_relaxed);
    free_count_.store(extents_, std::memory_order_relaxed);
}

extent_pool::extent_pool(std::uint32_t slots, std::uint32_t shift)
    : slots_(slots), naming_(slots), record_bytes_(naming_.record_bytes()), shift_(shift),
      extents_(((slots - 1) >> shift_) + 1), free_(bitmap(extents_)) {
    UFFDMM_CHECK(slots >= 1 && slots <= max_slots, "a slot number fits in its field");
    const std::size_t all = std::size_t{extents_} << shift_;
    memory_ = mapping::anonymous(
        all * record_bytes_ + 2 * (all / 8) +
        extents_ * (sizeof(std::uint64_t) + sizeof(extent_record) + sizeof(std::uint32_t)));
    std::byte* const at = memory_.data();
    used_ = reinterpret_cast<std::uint64_t*>(at);
    stale_ = used_ + all / 64;
    generations_ = stale_ + all / 64;
    records_ = reinterpret_cast<extent_record*>(generations_ + extents_);
    owner_numbers_ = reinterpret_cast<std::uint32_t*>(records_ + extents_);
    slot_records_ = reinterpret_cast<std::byte*>(owner_numbers_ + extents_);
}

std::uint32_t extent_pool::slots_in(std::uint32_t extent) const noexcept {
    return std::min(slots_per_extent(), slots_ - first_slot(extent));
}

byte_count extent_pool::record_bytes() const noexcept {
    const std::uint32_t slots = slots_per_extent();
    const byte_count one = byte_count{slots} * record_bytes_ + 2 * byte_count{slots / 8} +
                           sizeof(std::uint64_t) + sizeof(extent_record) + sizeof(std::uint32_t);
    return populated_.load(std::memory_order_relaxed) * one;
}

std::uint32_t extent_pool::join() noexcept {
    owners_.fetch_add(1, std::memory_order_relaxed);
    return last_owner_.fetch_add(1, std::memory_order_relaxed) + 1;
}

std::uint32_t extent_pool::take(std::uint32_t hint, std::uint32_t owner_number) noexcept {
    const std::uint32_t extent = claim(hint < extents_ ? hint : 0);
    if (extent == no_extent)
        return no_extent;
    owner(extent).store(owner_number, std::memory_order_relaxed);
    extent_record& fresh = records_[extent];
    if (!fresh.populated)
        populated_.fetch_add(1, std::memory_order_relaxed);
    fresh = {};
    fresh.populated = true;
    fresh.free_slots = slots_in(extent);
    return extent;
}

std::uint32_t extent_pool::claim(std::uint32_t hint) noexcept {
    const std::uint32_t words = (extents_ + 63) / 64;
    std::uint64_t mask = ~std::uint64_t{0} << hint % 64;
    for (std::uint32_t i = 0; i <= words; ++i, mask = ~std::uint64_t{0})
        if (const std::uint32_t extent = claim_from((hint / 64 + i) % words, mask);
            extent != no_extent)
            return extent;
    return no_extent;
}

std::uint32_t extent_pool::claim_from(std::uint32_t word, std::uint64_t mask) noexcept {
    std::uint64_t bits = free_[word].load(std::memory_order_relaxed);
    while ((bits & mask) != 0) {
        const std::uint64_t lowest = bits & mask & (~(bits & mask) + 1);
        if (free_[word].compare_exchange_weak(bits, bits & ~lowest, std::memory_order_acquire,
                                              std::memory_order_relaxed)) {
            free_count_.fetch_sub(1, std::memory_order_relaxed);
            return word * 64 + static_cast<std::uint32_t>(std::countr_zero(lowest));
        }
    }
    return no_extent;
}

void extent_pool::give_back(std::uint32_t extent) noexcept {
    owner(extent).store(0, std::memory_order_relaxed);
    free_count_.fetch_add(1, std::memory_order_relaxed);
    free_[extent / 64].fetch_or(std::uint64_t{1} << extent % 64, std::memory_order_release);
}

void extent_pool::grant(std::uint32_t extent, std::uint64_t generation) noexcept {
    generation_word(extent).store(generation, std::memory_order_relaxed);
    give_back(extent); // whose release publishes the generation to who takes the extent
}

bool extent_pool::set_generation(std::uint32_t extent, std::uint64_t generation) noexcept {
    std::uint64_t was = 0;
    return generation_word(extent).compare_exchange_strong(was, generation,
                                                           std::memory_order_relaxed) ||
           was == generation;
}

void extent_pool::populate(std::uint32_t extent) noexcept {
    if (!std::exchange(records_[extent].populated, true))
        populated_.fetch_add(1, std::memory_order_relaxed);
}

void extent_pool::take_over(std::uint32_t extent, std::uint32_t owner_number,
                            std::uint32_t in_use) noexcept {
    populate(extent);
    records_[extent] = {};
    records_[extent].populated = true;
    records_[extent].free_slots = slots_in(extent) - in_use;
    owner(extent).store(owner_number, std::memory_order_relaxed);
}

std::uint32_t extent_pool::owner_of(std::uint32_t extent) const noexcept {
    return owner(extent).load(std::memory_order_relaxed);
}

} // namespace uffdmm
