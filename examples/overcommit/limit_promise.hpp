// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The limit in force, and whether it was kept. Somebody changes it, somebody else checks samples
/// against it, and a sample that was taken before a change must not be held against what came
/// after.

#include <algorithm>
#include <atomic>

#include "uffdmm/types.hpp"

namespace overcommit {

class limit_promise {
  public:
    explicit limit_promise(uffdmm::byte_count limit) : allowed_(limit) {}

    /// The limit may be exceeded by 2 % or 8 MiB, whichever is more.
    [[nodiscard]] static constexpr uffdmm::byte_count slack(uffdmm::byte_count limit) {
        constexpr uffdmm::byte_count least = 8u << 20;
        return std::max(limit / 50, least);
    }

    /// Call before the limit is raised, and after it was lowered.
    void allow(uffdmm::byte_count limit) noexcept { allowed_.store(limit); }
    [[nodiscard]] uffdmm::byte_count allowed() const noexcept { return allowed_.load(); }

    /// By how much host memory exceeds the limit, where that is more than it may; else 0.
    /// `sample()` gives host memory now.
    template <typename Sample>
    [[nodiscard]] uffdmm::byte_count excess(Sample&& sample) const {
        const uffdmm::byte_count before = allowed();
        const uffdmm::byte_count used = sample();
        const uffdmm::byte_count limit = std::max(before, allowed());
        return used > limit + slack(limit) ? used - limit : 0;
    }

  private:
    std::atomic<uffdmm::byte_count> allowed_;
};

} // namespace overcommit
