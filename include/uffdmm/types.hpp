// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Vocabulary types. Pages, frames and bytes are different types on purpose: every conversion
/// between them is written in this file and nowhere else.

#include <compare>
#include <cstddef>
#include <cstdint>

namespace uffdmm {

/// Page size of a region. 4 KiB, the OS page size of x86-64; asserted against sysconf at start.
inline constexpr unsigned page_shift = 12;
inline constexpr std::size_t page_size = std::size_t{1} << page_shift;

/// Number of pages; used for lengths and counters of pages.
using page_count = std::uint32_t;

/// Number of bytes; used for limits, capacities and usage.
using byte_count = std::uint64_t;

/// Index of a page inside its shard (0 is the first page of the slice). A shard holds at most
/// 2^32 - 2 pages (16 TiB).
struct page_index {
    std::uint32_t value = 0;

    friend constexpr auto operator<=>(page_index, page_index) = default;
    friend constexpr page_index operator+(page_index page, page_count n) {
        return {page.value + n};
    }
    friend constexpr page_count operator-(page_index a, page_index b) { return a.value - b.value; }
};

/// "No page": never a valid index.
inline constexpr page_index no_page{0xffff'ffffu};

/// Index of a frame inside the shard's staging arena.
struct frame_index {
    std::uint32_t value = 0;

    friend constexpr auto operator<=>(frame_index, frame_index) = default;
    friend constexpr frame_index operator+(frame_index frame, page_count n) {
        return {frame.value + n};
    }
};

inline constexpr frame_index no_frame{0xffff'ffffu};

/// Where a tier holds a page. Opaque to everyone but the tier; at most 40 bits are kept.
struct slot_id {
    std::uint64_t value = 0;

    friend constexpr auto operator<=>(slot_id, slot_id) = default;
};

inline constexpr unsigned slot_bits = 40;
inline constexpr slot_id no_slot{(std::uint64_t{1} << slot_bits) - 1};

/// Half-open run of pages [first, first + count).
struct page_run {
    page_index first;
    page_count count = 0;

    friend constexpr bool operator==(page_run, page_run) = default;
    [[nodiscard]] constexpr page_index end() const { return first + count; }
    [[nodiscard]] constexpr bool contains(page_index page) const {
        return page >= first && page < end();
    }
};

[[nodiscard]] constexpr byte_count bytes_of(page_count pages) {
    return byte_count{pages} << page_shift;
}

/// Whole pages in `bytes`, rounded up.
[[nodiscard]] constexpr page_count pages_of(byte_count bytes) {
    return static_cast<page_count>((bytes + page_size - 1) >> page_shift);
}

[[nodiscard]] constexpr bool is_page_aligned(byte_count bytes) {
    return (bytes & (page_size - 1)) == 0;
}

} // namespace uffdmm
