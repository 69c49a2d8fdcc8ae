// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Contents of pages to compress.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>

#include "uffdmm/types.hpp"

namespace uffdmm::bench {

enum class contents : std::uint8_t {
    noise, ///< does not compress
    mixed, ///< half noise, half a short period: about 2:1 with LZ4
    filled ///< one word
};

inline void fill(std::byte* page, contents what, std::mt19937_64& random) {
    const std::size_t noise = what == contents::noise   ? page_size
                              : what == contents::mixed ? page_size / 2
                                                        : 0;
    for (std::size_t at = 0; at < page_size; at += 8) {
        // Alternating stretches, as in memory that holds pointers and small numbers.
        const bool random_word = (at / 64 * 2654435761u >> 7) % 64 * (page_size / 64) < noise;
        const std::uint64_t word = random_word ? random() : 0x0101'0101'0101'0101u;
        std::memcpy(page + at, &word, 8);
    }
}

} // namespace uffdmm::bench
