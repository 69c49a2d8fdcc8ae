// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What a section "uffdmm-locations" of the stream consists of: records, integers big-endian, of
/// which the last one is `end`. Each begins with
///
///     u64: offset in the block, bytes, a multiple of 4096 | type << 8 | number of the block
///
/// A record of a page holds for all that came before it in the stream, QEMU's own RAM section
/// included: what is sent last is true.

#include <cstdint>

#include "uffdmm/types.hpp"

namespace preload::qemu {

inline constexpr const char* section_name = "uffdmm-locations";
inline constexpr int section_version = 1;

enum class record_type : std::uint8_t {
    end = 0,
    /// Volume's name, 32 bytes · nonce, 16 bytes · number of blocks u8, and of each its name (a
    /// length u8 before it) and length u64. The first record of a migration by locations.
    announcement = 1,
    zeros = 2,    ///< length u64, bytes
    pattern = 3,  ///< word u64 that the page repeats
    contents = 4, ///< 4096 bytes
    located = 5,  ///< location, 48 bytes
    offered = 6   ///< the volume is offered: all is sent
};

struct record_head {
    record_type type = record_type::end;
    std::uint8_t block = 0;
    std::uint64_t offset = 0;
};

[[nodiscard]] constexpr std::uint64_t encode(const record_head& head) noexcept {
    return head.offset | static_cast<std::uint64_t>(head.type) << 8 | head.block;
}
[[nodiscard]] constexpr record_head decode_head(std::uint64_t word) noexcept {
    constexpr std::uint64_t in_page = uffdmm::page_size - 1;
    return {static_cast<record_type>((word & in_page) >> 8), static_cast<std::uint8_t>(word),
            word & ~in_page};
}

} // namespace preload::qemu
