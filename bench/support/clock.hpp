// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include <sched.h>
#include <time.h>

namespace uffdmm::bench {

[[nodiscard]] inline std::uint64_t now_ns() {
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
           static_cast<std::uint64_t>(now.tv_nsec);
}

/// Lets `ns` pass, giving the CPU to whoever shares it.
inline void let_pass(std::uint64_t ns) {
    const std::uint64_t end = now_ns() + ns;
    while (now_ns() < end)
        ::sched_yield();
}

} // namespace uffdmm::bench
