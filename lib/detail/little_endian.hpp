// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Unsigned integers as bytes in wire and disk formats, whatever the host's byte order.

#include <concepts>
#include <cstddef>
#include <cstdint>

namespace uffdmm {

template <std::unsigned_integral Integer>
constexpr void put_le(std::byte* at, Integer value) noexcept {
    for (std::size_t i = 0; i < sizeof value; ++i)
        at[i] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i));
}

template <std::unsigned_integral Integer>
[[nodiscard]] constexpr Integer get_le(const std::byte* at) noexcept {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(Integer); ++i)
        value |= std::to_integer<std::uint64_t>(at[i]) << (8 * i);
    return static_cast<Integer>(value);
}

} // namespace uffdmm
