// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What the compressed RAM tier knows of each stored page: 24 bytes. A slot's name is the number of
/// its record and the record's generation, so the name of a slot that was freed and given out again
/// does not fit any more (until 256 generations later). Records are linked in the order of storing.
///
/// Owner: one thread.

#include <cstddef>
#include <cstdint>
#include <span>

#include "tier/ram/slab_pool.hpp"
#include "uffdmm/detail/growing_table.hpp"
#include "uffdmm/tier.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

struct page_record {
    std::uint32_t next = 0;     ///< stored after it; free: the next free record
    std::uint32_t previous = 0; ///< stored before it
    std::uint32_t owner = 0;
    std::uint32_t checksum = 0; ///< of the compressed bytes, seeded with the owner
    object_place place;
    std::uint16_t length = 0; ///< compressed bytes; 0: the record is free
    std::uint8_t generation = 0;
};
static_assert(sizeof(page_record) == 24);

class record_table {
  public:
    /// Throws setup_error (no_memory).
    explicit record_table(std::uint32_t most) : records_(most) {}

    static constexpr std::uint32_t none = UINT32_MAX;

    /// Number of a record whose fields the caller fills in, the newest in the order of storing;
    /// none if there are too many.
    [[nodiscard]] std::uint32_t add() noexcept {
        std::uint32_t number = first_free_;
        if (number != none)
            first_free_ = records_[number].next;
        else if (records_.can_grow())
            number = records_.add();
        else
            return none;
        append(number);
        ++used_;
        return number;
    }
    void remove(std::uint32_t number) noexcept {
        unlink(number);
        page_record& record = records_[number];
        record.length = 0;
        ++record.generation;
        record.next = first_free_;
        first_free_ = number;
        --used_;
    }

    [[nodiscard]] page_record& operator[](std::uint32_t number) noexcept {
        return records_[number];
    }
    [[nodiscard]] slot_id name_of(std::uint32_t number) const noexcept {
        return {number | std::uint64_t{records_[number].generation} << 32};
    }
    [[nodiscard]] static std::uint32_t number_of(slot_id slot) noexcept {
        return static_cast<std::uint32_t>(slot.value);
    }
    /// nullptr if there is no such slot, or not any more.
    [[nodiscard]] page_record* find(slot_id slot) noexcept {
        const std::uint32_t number = number_of(slot);
        if (number >= records_.size() || records_[number].length == 0 || slot != name_of(number))
            return nullptr;
        return &records_[number];
    }
    /// nullptr if that record is free or does not exist.
    [[nodiscard]] page_record* at(std::uint32_t number) noexcept {
        return number < records_.size() && records_[number].length != 0 ? &records_[number]
                                                                        : nullptr;
    }
    /// The slots stored longest ago, oldest first.
    [[nodiscard]] std::size_t oldest(std::span<cold_slot> out) const noexcept {
        std::size_t n = 0;
        for (std::uint32_t i = oldest_; i != none && n < out.size(); i = records_[i].next)
            out[n++] = {name_of(i), records_[i].owner};
        return n;
    }

    [[nodiscard]] std::uint64_t used() const noexcept { return used_; }
    [[nodiscard]] byte_count memory_bytes() const noexcept { return records_.memory_bytes(); }

  private:
    void append(std::uint32_t number) noexcept {
        page_record& record = records_[number];
        record.next = none;
        record.previous = newest_;
        (newest_ == none ? oldest_ : records_[newest_].next) = number;
        newest_ = number;
    }
    void unlink(std::uint32_t number) noexcept {
        const page_record& record = records_[number];
        (record.previous == none ? oldest_ : records_[record.previous].next) = record.next;
        (record.next == none ? newest_ : records_[record.next].previous) = record.previous;
    }

    growing_table<page_record> records_;
    std::uint32_t first_free_ = none;
    std::uint32_t oldest_ = none;
    std::uint32_t newest_ = none;
    std::uint64_t used_ = 0;
};

} // namespace uffdmm
