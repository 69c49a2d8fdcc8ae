// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Random numbers for the workload: fast, seeded, the same on every machine.

#include <cstdint>

namespace overcommit {

/// Scrambles 64 bits (the finalizer of splitmix64): every output bit depends on every input bit.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t x) noexcept {
    x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9u;
    x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11ebu;
    return x ^ (x >> 31);
}

/// splitmix64.
class random_source {
  public:
    explicit random_source(std::uint64_t seed) noexcept : state_(seed) {}

    [[nodiscard]] std::uint64_t next() noexcept { return mix(state_ += 0x9e37'79b9'7f4a'7c15u); }

    /// 0 .. bound - 1; the bias is below bound / 2^64.
    [[nodiscard]] std::uint64_t below(std::uint64_t bound) noexcept {
        return static_cast<std::uint64_t>((static_cast<wide>(next()) * bound) >> 64);
    }

    /// [0, 1).
    [[nodiscard]] double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

    /// True with a chance of `percent` in 100.
    [[nodiscard]] bool chance(double percent) noexcept { return unit() * 100.0 < percent; }

  private:
    __extension__ using wide = unsigned __int128;
    std::uint64_t state_;
};

} // namespace overcommit
