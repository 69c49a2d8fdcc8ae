// SPDX-License-Identifier: BSD-3-Clause

/// The shard against a reference model, on the fake kernel: random touches, writes, discards, pins,
/// limit changes, tier errors and injected kernel errors. UFFDMM_TEST_SEED repeats a run,
/// UFFDMM_TEST_SCRIPTS makes it longer.

#include <cstdlib>
#include <random>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "support/shard_script.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

TEST_CASE("shard model: the guest sees what it wrote, whatever happens") {
    UFFDMM_INFO_SEED();
    const char* wanted = std::getenv("UFFDMM_TEST_SCRIPTS");
    const unsigned scripts = wanted != nullptr ? static_cast<unsigned>(std::atoi(wanted)) : 60;
    std::mt19937_64 random(seed());
    for (unsigned i = 0; i < scripts; ++i) {
        std::vector<std::uint8_t> bytes(200 + random() % 3000);
        for (auto& b : bytes)
            b = static_cast<std::uint8_t>(random());
        // Aborts with a message when the model and the shard disagree.
        CAPTURE(i);
        CHECK_NOTHROW(shard_script(bytes).run());
    }
}
