// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// One shard's dealings with a shared volume: which of its slots other hosts have been told of, and
/// which it has adopted. The file tier asks here where a slot may not be its own allocator's.
///
/// When leases end, what was kept back is freed some extents at a time, whenever the tier is
/// polled.

#include <cstdint>
#include <memory>
#include <utility>

#include "tier/file/slot_allocator.hpp"
#include "tier/shared/shared_volume.hpp"
#include "uffdmm/location.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Owner: a file tier; all calls from its thread.
class slot_sharing {
  public:
    slot_sharing(std::shared_ptr<shared_volume> volume, slot_allocator& slots)
        : volume_(std::move(volume)), pool_(volume_->store()->extents()), slots_(slots),
          next_to_end_(pool_.extents()) {}
    slot_sharing(const slot_sharing&) = delete;
    slot_sharing& operator=(const slot_sharing&) = delete;
    ~slot_sharing() {
        if (writing_ != 0) // requests that never end
            volume_->gate().leave();
        if (leasing_)
            volume_->leases().end_leasing();
        volume_->adopted().drop(slots_.owner());
    }

    [[nodiscard]] shared_volume& volume() noexcept { return *volume_; }

    /// Writers of the tier: the gate is entered with the first and left with the last.
    [[nodiscard]] bool admit(std::size_t stores) noexcept {
        if (writing_ == 0 ? !volume_->gate().enter() : volume_->gate().closed())
            return false;
        writing_ += stores;
        return true;
    }
    void store_ended() noexcept {
        if (--writing_ == 0)
            volume_->gate().leave();
    }
    /// See slot_allocator::allocate(). Extents are other hosts' too: adopted ones are filled first,
    /// and no more are taken while most of the slots held here are free, though runs get shorter.
    [[nodiscard]] slot_run allocate(std::uint32_t wanted) noexcept;

    [[nodiscard]] bool holds(std::uint32_t slot) const noexcept {
        return volume_->adopted().holds(slot);
    }
    /// Gives up a slot that the allocator or this holds.
    void release(std::uint32_t slot) noexcept {
        slot_leases& leases = volume_->leases();
        UFFDMM_CHECK(!leases.is_kept(slot), "a slot is freed once");
        if (leasing_ && leases.is_told(slot)) {
            leases.keep(slot);
            ++kept_;
        } else {
            free(slot);
        }
    }
    /// Slots, and extents in the store, for statistics.
    struct amounts {
        std::uint64_t adopted = 0; ///< by this shard, and not the allocator's
        std::uint64_t kept = 0;    ///< released, and still there
        std::uint64_t left = 0;    ///< extents in the store that are nobody's
    };
    [[nodiscard]] amounts use() const noexcept {
        return {adopted_, kept_, volume_->left_in_store()};
    }

    /// The slot is held; its contents have that checksum.
    [[nodiscard]] result<location> locate(std::uint32_t slot, std::uint32_t slot_generation,
                                          std::uint32_t checksum) noexcept;
    void end_leases() noexcept {
        if (std::exchange(leasing_, false))
            volume_->leases().end_leasing();
        next_to_end_ = 0;
    }
    /// Frees what was kept, in a few extents; whether there are more.
    bool poll() noexcept;

    struct adopted_slot {
        std::uint32_t number = 0;
        std::uint32_t generation = 0;
    };
    [[nodiscard]] result<adopted_slot> adopt(const location& place) noexcept;

  private:
    /// More slots held than this are too many.
    [[nodiscard]] std::uint64_t enough() const noexcept {
        return 2 * slots_.used() + 2 * std::uint64_t{pool_.slots_per_extent()};
    }
    [[nodiscard]] bool take_over(std::uint32_t least_free) noexcept;
    void free(std::uint32_t slot) noexcept {
        if (slots_.holds(slot))
            slots_.free(slot);
        else
            release_adopted(slot);
    }
    void release_adopted(std::uint32_t slot) noexcept {
        volume_->adopted().release(slot);
        adopted_ -= adopted_ != 0 ? 1 : 0; // of an extent of several shards it may be another's
    }

    std::shared_ptr<shared_volume> volume_;
    extent_pool& pool_;
    slot_allocator& slots_;
    std::size_t writing_ = 0;
    bool leasing_ = false;
    std::uint64_t adopted_ = 0;
    std::uint64_t kept_ = 0;
    std::uint32_t next_to_end_; ///< extent whose leases end next; the end: all have
};

} // namespace uffdmm
