// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Decides how long an idle thread spins before it sleeps. Spinning saves the wake-up (FACTS.md:
/// tens of microseconds on a virtual CPU) when work comes soon, and burns a CPU when it does not:
/// so it spins while idle periods are on average no longer than the budget, and otherwise only
/// every sixteenth time, to notice that they have become short again. (After a sleep the length of
/// the idle period says little: it includes the wake-up.)

#include <algorithm>
#include <cstdint>

namespace uffdmm {

class adaptive_spin {
  public:
    /// `most_ns`: the longest spin; 0 = never spin.
    explicit adaptive_spin(std::uint64_t most_ns) : most_ns_(most_ns) {}

    /// An idle period begins: how long to spin in it.
    [[nodiscard]] std::uint64_t begin() {
        if (average_ns_ <= most_ns_)
            return most_ns_;
        return ++skipped_ % try_every == 0 ? most_ns_ : 0;
    }
    /// The idle period ended while spinning, after `ns`.
    void found_work(std::uint64_t ns) { learn(std::min(ns, most_ns_)); }
    /// Spinning was in vain: the thread sleeps now.
    void gave_up() { learn(most_ns_ * 3); }

  private:
    static constexpr unsigned try_every = 16;

    /// Moving average over about eight idle periods that were spun in.
    void learn(std::uint64_t ns) { average_ns_ = average_ns_ - average_ns_ / 8 + ns / 8; }

    std::uint64_t most_ns_;
    std::uint64_t average_ns_ = 0;
    unsigned skipped_ = 0;
};

} // namespace uffdmm
