// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Seeds of random tests: UFFDMM_TEST_SEED in the environment, else a fixed one. Print it with
/// INFO, so that a failure can be run again.

#include <cstdint>
#include <cstdlib>

namespace uffdmm::test {

[[nodiscard]] inline std::uint64_t seed() {
    const char* text = std::getenv("UFFDMM_TEST_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 0) : 20240607;
}

} // namespace uffdmm::test

#define UFFDMM_INFO_SEED() INFO("UFFDMM_TEST_SEED=" << ::uffdmm::test::seed())
