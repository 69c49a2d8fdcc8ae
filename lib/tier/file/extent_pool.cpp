// SPDX-License-Identifier: BSD-3-Clause
#include "tier/file/extent_pool.hpp"

#include <algorithm>
#include <bit>

#include "uffdmm/check.hpp"

namespace uffdmm {
namespace {

/// 4 MiB, and less for small files so that several shards find an extent each.
unsigned extent_shift(std::uint32_t slots) {
    const std::uint32_t wanted = std::bit_floor(std::max(slots / 64, 1u));
    return static_cast<unsigned>(std::countr_zero(std::clamp(wanted, 64u, 1024u)));
}

std::unique_ptr<std::atomic<std::uint64_t>[]> bitmap(std::uint32_t bits) {
    return std::make_unique<std::atomic<std::uint64_t>[]>((bits + 63) / 64);
}

} // namespace

extent_pool::extent_pool(std::uint32_t slots)
    : slots_(slots), shift_(extent_shift(slots)), extents_(((slots - 1) >> shift_) + 1),
      free_(bitmap(extents_)), populated_(bitmap(extents_)), free_count_(extents_) {
    UFFDMM_CHECK(slots >= 1 && slots <= max_slots, "a slot number fits in its field");
    const std::size_t all = std::size_t{extents_} << shift_;
    memory_ = mapping::anonymous(all * 5 + 2 * (all / 8) + extents_ * sizeof(extent_record));
    std::byte* at = memory_.data();
    used_ = reinterpret_cast<std::uint64_t*>(at);
    stale_ = used_ + all / 64;
    records_ = reinterpret_cast<extent_record*>(at + 2 * (all / 8));
    checksums_ = reinterpret_cast<std::uint32_t*>(records_ + extents_);
    generations_ = reinterpret_cast<std::uint8_t*>(checksums_ + all);
    for (std::uint32_t extent = 0; extent < extents_; ++extent)
        free_[extent / 64].fetch_or(std::uint64_t{1} << extent % 64, std::memory_order_relaxed);
}

std::uint32_t extent_pool::slots_in(std::uint32_t extent) const noexcept {
    return std::min(slots_per_extent(), slots_ - first_slot(extent));
}

byte_count extent_pool::record_bytes() const noexcept {
    return byte_count{slots_per_extent()} * 5 + 2 * byte_count{slots_per_extent() / 8} +
           sizeof(extent_record);
}

std::uint32_t extent_pool::take(std::uint32_t hint) noexcept {
    const std::uint32_t n = (extents_ + 63) / 64;
    const std::uint32_t start = (hint < extents_ ? hint : 0) / 64;
    const std::uint64_t from_hint = ~std::uint64_t{0} << hint % 64;
    if (const std::uint32_t extent = take_from(start, from_hint); extent != no_extent)
        return extent;
    for (std::uint32_t i = 1; i <= n; ++i)
        if (const std::uint32_t extent = take_from((start + i) % n, ~std::uint64_t{0});
            extent != no_extent)
            return extent;
    return no_extent;
}

std::uint32_t extent_pool::take_from(std::uint32_t word, std::uint64_t mask) noexcept {
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
    free_count_.fetch_add(1, std::memory_order_relaxed);
    free_[extent / 64].fetch_or(std::uint64_t{1} << extent % 64, std::memory_order_release);
}

bool extent_pool::is_free(std::uint32_t extent) const noexcept {
    return (free_[extent / 64].load(std::memory_order_relaxed) >> extent % 64 & 1) != 0;
}

std::uint32_t extent_pool::adopt_records(std::uint32_t extent) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << extent % 64;
    const bool first =
        (populated_[extent / 64].fetch_or(bit, std::memory_order_relaxed) & bit) == 0;
    return orphans_.exchange(0, std::memory_order_relaxed) + (first ? 1 : 0);
}

} // namespace uffdmm
