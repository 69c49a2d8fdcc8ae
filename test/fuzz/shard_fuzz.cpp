// SPDX-License-Identifier: BSD-3-Clause

/// The shard against its reference model, driven by libFuzzer: see support/shard_script.hpp.

#include "support/shard_script.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t longest = 4096; // longer scripts find nothing that two short ones do not
    uffdmm::test::shard_script({data, std::min(size, longest)}).run();
    return 0;
}
