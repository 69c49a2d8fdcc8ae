// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Pages that repeat one 64-bit word need no storage: the word is kept in the page entry. 10-20 %
/// of swapped pages are like that, nearly all of them zero.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>

#include "uffdmm/types.hpp"

namespace uffdmm {

/// The word that fills the page, if one does. Looks at a few words first: most pages fail there.
[[nodiscard]] inline std::optional<std::uint64_t> fill_pattern_of(const std::byte* page) {
    constexpr std::size_t words = page_size / sizeof(std::uint64_t);
    const auto word = [page](std::size_t i) {
        std::uint64_t value;
        std::memcpy(&value, page + i * sizeof value, sizeof value);
        return value;
    };
    const std::uint64_t first = word(0);
    if (word(words - 1) != first || word(words / 2) != first || word(1) != first)
        return std::nullopt;
    // A page that repeats one word equals itself shifted by a word.
    if (std::memcmp(page, page + sizeof first, page_size - sizeof first) != 0)
        return std::nullopt;
    return first;
}

inline void fill_with_pattern(std::byte* page, std::uint64_t pattern) {
    for (std::size_t at = 0; at < page_size; at += sizeof pattern)
        std::memcpy(page + at, &pattern, sizeof pattern);
}

} // namespace uffdmm
