// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What this kernel offers, found by trying. For reports and for tests that must skip.

#include <cstdint>
#include <string>

#include "uffdmm/result.hpp"

namespace uffdmm {

struct kernel_probe {
    errc access = errc::ok;       ///< why no userfaultfd can be had; ok if one can
    std::string reason;           ///< the same in words
    std::uint64_t features = 0;   ///< UFFD_FEATURE_...
    bool process_madvise = false; ///< a process may advise several ranges of itself in one call

    [[nodiscard]] bool has(std::uint64_t feature) const { return (features & feature) == feature; }
};

[[nodiscard]] kernel_probe probe_kernel();

/// One line: "move poison wp ...", or why there is nothing.
[[nodiscard]] std::string to_string(const kernel_probe& probe);

} // namespace uffdmm
