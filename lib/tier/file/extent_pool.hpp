// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The slots of a file, and what is known of each. Slots are handed to shards an extent at a time;
/// an extent has one owner, who alone reads and writes its slots' records, so these need no lock.
/// Taking and giving back are lock-free.
///
/// Records take three or four bytes per slot (slot_name.hpp). They are populated when an extent is
/// taken for the first time, and stay so.
///
/// Of a file that several hosts use, the pool has only the extents that the store has granted to
/// this manager, each with a generation: see tier/shared/.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "tier/file/slot_name.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Consecutive slots.
struct slot_run {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    friend bool operator==(slot_run, slot_run) = default;
};

inline constexpr std::uint32_t no_extent = UINT32_MAX;

/// log2 of the slots of an extent of a file of so many: 4 MiB, and less for small files so that
/// several owners find an extent each.
[[nodiscard]] std::uint32_t extent_shift_for(std::uint32_t slots) noexcept;

/// What an owner keeps about an extent. Numbers in the links are extents.
struct extent_record {
    std::uint32_t next = no_extent; ///< owner's list of extents with about as much room
    std::uint32_t previous = no_extent;
    std::uint32_t next_to_trim = no_extent;
    std::uint32_t free_slots = 0;
    std::uint32_t cursor = 0; ///< next-fit: where the last run ended
    std::uint8_t list = 0;
    bool to_trim = false;   ///< is on the list linked by next_to_trim
    bool populated = false; ///< was taken before; goes from owner to owner
};

class extent_pool {
  public:
    /// A file of `slots` slots (at least one, at most max_slots). Throws setup_error (no_memory).
    explicit extent_pool(std::uint32_t slots);
    /// The same with extents of 2^shift slots, none of which is there before it is granted.
    extent_pool(std::uint32_t slots, std::uint32_t shift);

    /// Slot numbers have 32 bits; the end of the last extent and no_slot's number never occur.
    static constexpr std::uint32_t max_slots = UINT32_MAX - 2047;

    [[nodiscard]] std::uint32_t slots() const noexcept { return slots_; }
    [[nodiscard]] slot_naming naming() const noexcept { return naming_; }
    [[nodiscard]] std::uint32_t extents() const noexcept { return extents_; }
    /// A power of two, multiple of 64.
    [[nodiscard]] std::uint32_t slots_per_extent() const noexcept { return 1u << shift_; }
    [[nodiscard]] std::uint32_t extent_of(std::uint32_t slot) const noexcept {
        return slot >> shift_;
    }
    [[nodiscard]] std::uint32_t first_slot(std::uint32_t extent) const noexcept {
        return extent << shift_;
    }
    /// Less than slots_per_extent() for the last one.
    [[nodiscard]] std::uint32_t slots_in(std::uint32_t extent) const noexcept;
    /// Host memory of the records of all extents that were ever taken. Any thread.
    [[nodiscard]] byte_count record_bytes() const noexcept;

    /// Any thread. A number for a new owner; never 0.
    [[nodiscard]] std::uint32_t join() noexcept;
    /// Any thread; the caller has given all its extents back.
    void leave() noexcept { owners_.fetch_sub(1, std::memory_order_relaxed); }
    /// Owners there are now, for shares of what nobody holds.
    [[nodiscard]] std::uint32_t owners() const noexcept {
        return owners_.load(std::memory_order_relaxed);
    }

    /// Any thread. The lowest free extent from `hint` on, wrapping around, with a fresh record and
    /// all slots free; no_extent if there is none.
    [[nodiscard]] std::uint32_t take(std::uint32_t hint, std::uint32_t owner) noexcept;
    /// Its owner only. All its slots are free.
    void give_back(std::uint32_t extent) noexcept;
    /// Any thread: the extent, which was not in the pool, can be taken from now on.
    void grant(std::uint32_t extent, std::uint64_t generation) noexcept;
    /// Any thread: a free extent that is not in the pool any more, or no_extent.
    [[nodiscard]] std::uint32_t withdraw() noexcept { return claim(0); }
    /// Any thread: the generation of an extent; 0 in a file that has none, and before it has one.
    [[nodiscard]] std::uint64_t generation(std::uint32_t extent) const noexcept {
        return generation_word(extent).load(std::memory_order_relaxed);
    }
    /// Any thread: gives an extent without a generation one. False if it has another.
    [[nodiscard]] bool set_generation(std::uint32_t extent, std::uint64_t generation) noexcept;
    /// The extent is not this manager's any more.
    void forget_generation(std::uint32_t extent) noexcept {
        generation_word(extent).store(0, std::memory_order_relaxed);
    }
    /// What checksums of a slot's contents are seeded with: different for different slots, and for
    /// different owners of an extent.
    [[nodiscard]] std::uint64_t seed(std::uint32_t slot,
                                     std::uint32_t slot_generation) const noexcept {
        const std::uint64_t shared = generation(extent_of(slot));
        return shared == 0 ? slot_generation
                           : shared << slot_naming::generation_bits ^ slot_generation ^
                                 std::uint64_t{slot} << 32;
    }

    /// Any thread, any extent; sure only about the caller's own.
    [[nodiscard]] std::uint32_t owner_of(std::uint32_t extent) const noexcept;
    /// Any thread, approximate while others take.
    [[nodiscard]] std::uint32_t free_extents() const noexcept {
        return free_count_.load(std::memory_order_relaxed);
    }

    // Owner of the extent only. Bitmaps have a bit per slot, lowest first.
    [[nodiscard]] std::uint32_t slot_record(std::uint32_t slot) const noexcept {
        std::uint32_t record = 0;
        std::memcpy(&record, slot_records_ + std::size_t{slot} * record_bytes_, record_bytes_);
        return record;
    }
    void set_slot_record(std::uint32_t slot, std::uint32_t record) noexcept {
        std::memcpy(slot_records_ + std::size_t{slot} * record_bytes_, &record, record_bytes_);
    }
    [[nodiscard]] std::span<std::uint64_t> used(std::uint32_t extent) noexcept {
        return words(used_, extent);
    }
    /// Free slots whose blocks may still be on the medium.
    [[nodiscard]] std::span<std::uint64_t> stale(std::uint32_t extent) noexcept {
        return words(stale_, extent);
    }
    [[nodiscard]] extent_record& record(std::uint32_t extent) noexcept { return records_[extent]; }
    /// The extent becomes the owner's with the slots in use that it has.
    void take_over(std::uint32_t extent, std::uint32_t owner, std::uint32_t in_use) noexcept;
    /// Nobody's, and not free: what another manager has stored there is only read.
    void populate(std::uint32_t extent) noexcept;

  private:
    [[nodiscard]] std::span<std::uint64_t> words(std::uint64_t* bits, std::uint32_t extent) const {
        return {bits + (first_slot(extent) >> 6), slots_per_extent() >> 6};
    }
    [[nodiscard]] std::uint32_t claim(std::uint32_t hint) noexcept;
    [[nodiscard]] std::uint32_t claim_from(std::uint32_t word, std::uint64_t mask) noexcept;
    [[nodiscard]] std::atomic_ref<std::uint64_t>
    generation_word(std::uint32_t extent) const noexcept {
        return std::atomic_ref(generations_[extent]);
    }
    /// Readers may not own the extent.
    [[nodiscard]] std::atomic_ref<std::uint32_t> owner(std::uint32_t extent) const noexcept {
        return std::atomic_ref(owner_numbers_[extent]);
    }

    std::uint32_t slots_;
    slot_naming naming_;
    unsigned record_bytes_;
    unsigned shift_;
    std::uint32_t extents_;
    mapping memory_; ///< the arrays below
    std::byte* slot_records_ = nullptr;
    std::uint64_t* used_ = nullptr;
    std::uint64_t* stale_ = nullptr;
    std::uint64_t* generations_ = nullptr;
    extent_record* records_ = nullptr;
    std::uint32_t* owner_numbers_ = nullptr;
    /// Bit set: the extent is free. Acquire in take() pairs with release in give_back(): the
    /// records go from owner to owner with the bit.
    std::unique_ptr<std::atomic<std::uint64_t>[]> free_;
    // Figures and names; they order nothing.
    std::atomic<std::uint32_t> free_count_;
    std::atomic<std::uint32_t> populated_{0};
    std::atomic<std::uint32_t> owners_{0};
    std::atomic<std::uint32_t> last_owner_{0};
};

} // namespace uffdmm
