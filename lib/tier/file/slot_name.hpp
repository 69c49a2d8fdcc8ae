// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What a slot is called, and what is kept about it in memory.
///
/// A name has 40 bits (slot_bits) and a file below 64 GiB needs only 24 of them for the number,
/// so the name carries part of the checksum of the slot's contents: memory that the page entry has
/// anyway.
///
///     name     0 … number_bits │ generation, 4 │ checksum, low part
///     record                     generation, 4 │ checksum, the rest        3 or 4 bytes
///
///     file                  number   checksum: in the name, in the record   record
///     below 64 GiB          24        12, 20                                 3 bytes
///     larger, to 16 TiB     32        4, 28                                 4 bytes
///
/// All 32 bits of the checksum are verified when a slot is read. The generation is in both, so the
/// name of a slot that was freed and given out again does not fit any more; every sixteenth time it
/// does, and then the part of the checksum in the name gives it away.

#include <cstdint>

#include "uffdmm/types.hpp"

namespace uffdmm {

class slot_naming {
  public:
    static constexpr unsigned generation_bits = 4;
    static constexpr std::uint32_t generations = 1u << generation_bits;

    /// The number with all bits set never occurs, so no name equals no_slot.
    explicit constexpr slot_naming(std::uint32_t slots)
        : number_bits_(slots < (1u << 24) ? 24 : 32) {}

    [[nodiscard]] constexpr unsigned record_bytes() const {
        return (generation_bits + kept_bits()) / 8;
    }

    [[nodiscard]] constexpr std::uint32_t number_of(slot_id name) const {
        return static_cast<std::uint32_t>(name.value & low(number_bits_));
    }
    [[nodiscard]] constexpr std::uint32_t generation_of(slot_id name) const {
        return static_cast<std::uint32_t>(name.value >> number_bits_) & (generations - 1);
    }
    /// A name without its part of the checksum.
    [[nodiscard]] constexpr slot_id name(std::uint32_t number, std::uint32_t generation) const {
        return {number | std::uint64_t{generation} << number_bits_};
    }
    [[nodiscard]] constexpr slot_id with_checksum(slot_id name, std::uint32_t checksum) const {
        return {name.value | (checksum & low(named_bits())) << (number_bits_ + generation_bits)};
    }

    [[nodiscard]] constexpr std::uint32_t record(std::uint32_t generation,
                                                 std::uint32_t checksum) const {
        return generation | checksum >> named_bits() << generation_bits;
    }
    [[nodiscard]] static constexpr std::uint32_t generation_in(std::uint32_t record) {
        return record & (generations - 1);
    }
    /// The whole checksum: the record has one part, the name the other.
    [[nodiscard]] constexpr std::uint32_t checksum(std::uint32_t record, slot_id name) const {
        const auto named =
            static_cast<std::uint32_t>(name.value >> (number_bits_ + generation_bits));
        return record >> generation_bits << named_bits() | named;
    }

  private:
    [[nodiscard]] static constexpr std::uint64_t low(unsigned bits) {
        return (std::uint64_t{1} << bits) - 1;
    }
    [[nodiscard]] constexpr unsigned named_bits() const {
        return slot_bits - number_bits_ - generation_bits;
    }
    [[nodiscard]] constexpr unsigned kept_bits() const { return 32 - named_bits(); }

    unsigned number_bits_;
};

} // namespace uffdmm
