// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Chooses the cheaper of two ways of doing the same thing by what they cost lately. The dearer way
/// is tried once in a while, since which is dearer depends on the host and on what the guest's CPUs
/// are doing (a TLB flush costs 1.5 us on an idle machine and 13 us on a busy one, FACTS.md).

#include <array>
#include <cstdint>

namespace uffdmm {

class cost_chooser {
  public:
    /// `ways`: how many are possible beyond way 0; with 0, choose() is always 0.
    explicit cost_chooser(unsigned ways) : enabled_(ways != 0) {}

    /// 0 or 1.
    [[nodiscard]] unsigned choose() {
        if (!enabled_)
            return 0;
        const unsigned cheaper = average_ns_[1] < average_ns_[0] ? 1 : 0;
        return ++calls_ % explore_every == 0 ? 1 - cheaper : cheaper;
    }

    /// A use of `way` took `ns`.
    void learn(unsigned way, std::uint64_t ns) {
        // Moving average over about eight uses; single outliers (preemption) are capped.
        const std::uint64_t capped = ns > cap_ns ? cap_ns : ns;
        std::uint64_t& average = average_ns_[way];
        average = average == 0 ? capped : average - average / 8 + capped / 8;
    }

    [[nodiscard]] std::uint64_t average_ns(unsigned way) const { return average_ns_[way]; }

  private:
    static constexpr unsigned explore_every = 64;
    static constexpr std::uint64_t cap_ns = 100'000;

    std::array<std::uint64_t, 2> average_ns_{};
    unsigned calls_ = 0;
    bool enabled_;
};

} // namespace uffdmm
