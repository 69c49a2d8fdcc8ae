// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Two regions of which nothing is real.

#include <string>
#include <vector>

#include "uffdmm/control.hpp"

namespace uffdmm::testing {

struct fake_target final : control_target {
    byte_count now = byte_count{256} << 20;
    error refused; ///< what every call fails with, if it is set
    std::vector<std::string> evicted;

    std::string statistics() override { return "{\n  \"faults\": 7\n}"; }
    byte_count limit() override { return now; }
    result<void> set_limit(byte_count wanted) override {
        if (refused.code != errc::ok)
            return refused;
        now = wanted;
        return {};
    }
    result<std::vector<control_region>> regions() override {
        if (refused.code != errc::ok)
            return refused;
        control_region one{"ram", 0x1000, 8192};
        one.resident_bytes = 4096;
        one.swapped_bytes = 4096;
        return std::vector{one, control_region{"more \xff", 0x8000, 4096, 4096}};
    }
    result<byte_count> evict(std::string_view region) override {
        if (refused.code != errc::ok)
            return refused;
        evicted.emplace_back(region);
        return byte_count{12288};
    }
};

} // namespace uffdmm::testing
