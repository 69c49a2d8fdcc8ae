// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// One shard's share of the slots: runs of consecutive slots for pages that leave memory together,
/// so that writing them, and reading them ahead later, is one I/O.
///
/// Next-fit inside the current extent, then in a few extents with room, then in a new extent of the
/// pool; when that has none, the longest run at hand, however short. Every call is bounded and
/// allocates no memory.

#include <array>
#include <cstdint>

#include "tier/file/extent_pool.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Owner: a file tier; all calls from its thread.
class slot_allocator {
  public:
    /// `keep_stale`: remember which free slots still have blocks, for trim().
    slot_allocator(extent_pool& pool, bool keep_stale);
    slot_allocator(const slot_allocator&) = delete;
    slot_allocator& operator=(const slot_allocator&) = delete;
    ~slot_allocator();

    static constexpr std::uint32_t longest_run = 64;

    /// Whether there may be more extents than are held already.
    enum class growth : bool { none, as_needed };
    /// Between 1 and `wanted` (at most longest_run) consecutive slots; count 0 if none is left.
    [[nodiscard]] slot_run allocate(std::uint32_t wanted, growth grow = growth::as_needed) noexcept;
    void free(std::uint32_t slot) noexcept;
    /// An extent that the pool made this owner's, with slots in use (extent_pool::take_over).
    void take_over(std::uint32_t extent) noexcept;
    [[nodiscard]] std::uint32_t owner() const noexcept { return owner_; }
    /// Whether the slot belongs to this shard and is not free. Takes any number.
    [[nodiscard]] bool holds(std::uint32_t slot) const noexcept;

    /// Slots in use.
    [[nodiscard]] std::uint64_t used() const noexcept { return used_; }
    /// Slots of all extents held here.
    [[nodiscard]] std::uint64_t held() const noexcept { return held_; }
    /// Groups of 64 free slots (256 KiB) with blocks to give back.
    [[nodiscard]] std::uint32_t trimmable() const noexcept { return trimmable_; }
    /// Whether begin_trim() may find something.
    [[nodiscard]] bool wants_trim() const noexcept { return trim_head_ != no_extent; }
    /// The next such groups that lie side by side; count 0 if none. They are given out by nobody
    /// until end_trim(), which must come before the next begin_trim().
    [[nodiscard]] slot_run begin_trim() noexcept;
    /// The blocks are given back, or never will be.
    void end_trim() noexcept;
    /// Nothing is trimmed any more.
    void forget_stale() noexcept;
    /// Frees what is held, piece by piece: returns a run of slots that goes back to the pool with
    /// the next call, count 0 at the end. The allocator can only be destroyed then.
    [[nodiscard]] slot_run take_apart() noexcept;

  private:
    /// Extents by room.
    enum list : std::uint8_t { roomy, scarce, packed, lists };

    struct candidate {
        std::uint32_t extent = no_extent;
        slot_run run;
    };

    [[nodiscard]] slot_run find(std::uint32_t extent, std::uint32_t wanted) noexcept;
    void search(std::uint32_t extent, std::uint32_t wanted, candidate& best) noexcept;
    [[nodiscard]] bool add_extent() noexcept;
    void occupy(std::uint32_t extent, slot_run run) noexcept;
    void vacate(std::uint32_t extent) noexcept;
    void start_generation(std::uint32_t slot) noexcept;
    void set_used(std::uint32_t extent, slot_run run) noexcept;
    [[nodiscard]] slot_run trimmable_run(std::uint32_t extent) const noexcept;
    [[nodiscard]] bool is_trimmable(std::uint32_t extent, std::uint32_t word) const noexcept;
    void want_trim(std::uint32_t extent) noexcept;
    [[nodiscard]] bool empty(std::uint32_t extent) const noexcept;

    [[nodiscard]] list list_for(std::uint32_t extent) const noexcept;
    void link(std::uint32_t extent, list to) noexcept;
    void unlink(std::uint32_t extent) noexcept;
    void relink(std::uint32_t extent) noexcept;

    extent_pool& pool_;
    std::uint32_t owner_;
    bool keep_stale_;
    std::array<std::uint32_t, lists> heads_;
    std::array<std::uint32_t, lists> tails_;
    std::uint32_t current_ = no_extent;
    std::uint32_t trim_head_ = no_extent;
    std::uint32_t trimmable_ = 0;
    std::uint64_t used_ = 0;
    std::uint64_t held_ = 0;
    slot_run trimming_; ///< see begin_trim()
    slot_run leaving_;  ///< see take_apart()
};

} // namespace uffdmm
