// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// thread_placement::gather for one shard: who is gathered, and when.
///
///     every half millisecond: gather_chooser ──► together ──► gathered_threads: the shard thread,
///     the workers, every thread that faults all the time
///                                     └──► apart, quiet, not possible ──► all go
///
/// Workers belong to all shards of a manager, so none gathers while several are busy; and only one
/// of the process does at a time.

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "placement/cpu_affinity.hpp"
#include "placement/gather_chooser.hpp"
#include "placement/gathered_threads.hpp"
#include "uffdmm/engine/faulting_threads.hpp"

namespace uffdmm {

/// What the shards of a manager share.
struct gathering_place {
    cpu_affinity& affinity;
    std::span<const std::uint32_t> workers; ///< their thread numbers
    std::atomic<const void*> busy{nullptr}; ///< a shard that faults come to: the latest to say so

    /// The shard of this process that gathers: a thread may fault in regions of two managers.
    static inline std::atomic<const void*> holder{nullptr};
};

/// Owner: a shard thread, which makes all calls and lives on until let_all_go() or the end.
class gathering {
  public:
    explicit gathering(gathering_place& place);
    gathering(const gathering&) = delete;
    gathering& operator=(const gathering&) = delete;
    ~gathering() { let_all_go(); }

    /// After a round of the shard that began at `now_ns`; `pages`: brought in so far. Returns
    /// whether threads are bound: then the next call must come within a few milliseconds.
    bool step(std::uint64_t now_ns, std::uint64_t pages, const faulting_threads& faulting) noexcept;

    void let_all_go() noexcept;

  private:
    static constexpr std::uint64_t every_ns = 500'000;
    /// How long another shard counts as busy after it was seen to be.
    static constexpr std::uint64_t alone_after_ns = 50'000'000;

    enum class outcome : std::uint8_t { held, nobody, impossible };

    [[nodiscard]] bool alone(std::uint64_t now_ns) noexcept;
    [[nodiscard]] bool claim() noexcept;
    [[nodiscard]] outcome hold(std::span<const std::uint32_t> guests) noexcept;

    gathering_place& place_;
    gather_chooser chooser_;
    gathered_threads held_;
    std::vector<std::uint32_t> threads_; ///< scratch; first the library's own
    std::size_t own_ = 0;                ///< how many these are; 0: not known yet
    std::uint64_t stepped_ns_ = 0;
    std::uint64_t other_busy_ns_ = 0; ///< when another shard was last seen to be
};

} // namespace uffdmm
