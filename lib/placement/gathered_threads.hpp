// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Threads that are bound to one CPU for a while, and what they may use again afterwards.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "placement/cpu_affinity.hpp"

namespace uffdmm {

/// Owner: a shard thread. Allocates only when it is made.
class gathered_threads {
  public:
    /// For at most `most` threads.
    gathered_threads(cpu_affinity& affinity, std::size_t most) : affinity_(affinity) {
        held_.reserve(most);
    }
    gathered_threads(const gathered_threads&) = delete;
    gathered_threads& operator=(const gathered_threads&) = delete;
    ~gathered_threads() { let_all_go(); }

    /// Binds all of them to one CPU that all may use: the caller's if possible. Whoever bound a
    /// thread to other CPUs knows why. Returns false, and leaves all as they were, if there is no
    /// such CPU or a thread cannot be bound. Only while empty().
    [[nodiscard]] bool gather(std::span<const std::uint32_t> threads) noexcept;
    /// Binds one more. Returns false if that is not possible.
    [[nodiscard]] bool add(std::uint32_t thread) noexcept;
    /// Gives threads their CPUs back, unless somebody else has changed them meanwhile.
    void let_all_go() noexcept;
    /// The same for those for which `leaves(thread)` says so.
    template <typename Leaves>
    void let_go_if(Leaves&& leaves) noexcept {
        for (std::size_t i = held_.size(); i-- != 0;)
            if (leaves(held_[i].thread))
                release(i);
    }

    [[nodiscard]] bool empty() const noexcept { return held_.empty(); }
    [[nodiscard]] bool holds(std::uint32_t thread) const noexcept;

  private:
    struct held {
        std::uint32_t thread;
        cpu_set_t before;
    };

    [[nodiscard]] std::optional<unsigned>
    cpu_for(std::span<const std::uint32_t> threads) const noexcept;
    [[nodiscard]] cpu_set_t only() const noexcept;
    void release(std::size_t index) noexcept;

    cpu_affinity& affinity_;
    std::vector<held> held_;
    unsigned cpu_ = 0; ///< where they are
};

} // namespace uffdmm
