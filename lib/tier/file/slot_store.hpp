// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What a file_tier keeps its slots on: one medium for all shards of a manager, with its extents.

#include <cstdint>
#include <memory>
#include <utility>

#include "tier/file/extent_pool.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

class slot_store {
  public:
    slot_store(const slot_store&) = delete;
    slot_store& operator=(const slot_store&) = delete;
    virtual ~slot_store() = default;

    [[nodiscard]] extent_pool& extents() noexcept { return *extents_; }

    /// Byte offset of a slot.
    [[nodiscard]] std::uint64_t offset_of(std::uint32_t slot) const noexcept {
        return data_offset_ + bytes_of(slot);
    }

    /// Whether the storage of freed slots should be given back. Any thread.
    [[nodiscard]] virtual bool discards() const noexcept = 0;
    /// Gives the storage of free slots back. May wait for the medium. Any thread; no I/O on the
    /// slots may be under way.
    virtual void discard(slot_run run) noexcept = 0;

  protected:
    slot_store() = default;
    /// Set-up.
    void set_slots(std::uint32_t slots, std::uint64_t data_offset) {
        set_slots(std::make_unique<extent_pool>(slots), data_offset);
    }
    void set_slots(std::unique_ptr<extent_pool> extents, std::uint64_t data_offset) {
        extents_ = std::move(extents);
        data_offset_ = data_offset;
    }

  private:
    std::uint64_t data_offset_ = 0;
    std::unique_ptr<extent_pool> extents_;
};

} // namespace uffdmm
