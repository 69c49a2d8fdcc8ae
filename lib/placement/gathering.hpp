// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// thread_placement::gather for one shard: who is gathered, and when.
///
///     every half millisecond: gather_chooser ──► together ──► gathered_threads: the shard thread,
///     the workers, every thread that has done little but fault for the last 20 ms
///                                     └──► apart, quiet, not possible ──► all go
///
/// Workers belong to all shards, so only one shard at a time may gather, and none while several
/// are busy.

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
    std::atomic<unsigned> busy{0};          ///< shards that faults come to
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
    static constexpr std::uint64_t latest_ns = 20'000'000;

    [[nodiscard]] bool hold(std::span<const std::uint32_t> guests) noexcept;
    void set_busy(bool busy) noexcept;

    gathering_place& place_;
    gather_chooser chooser_;
    gathered_threads held_;
    std::vector<std::uint32_t> threads_; ///< scratch; first the library's own
    std::size_t own_ = 0;                ///< how many these are; 0: not known yet
    std::uint64_t stepped_ns_ = 0;
    bool busy_ = false;
};

} // namespace uffdmm
