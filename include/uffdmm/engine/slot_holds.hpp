// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Slots that somebody reads although their page may stop naming them at any moment. A slot that is
/// freed while it is held is freed when the last hold ends, so nothing is written over it
/// meanwhile.

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "uffdmm/check.hpp"
#include "uffdmm/engine/page_entry.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Owner: the tier chain. Few slots at a time, for the time of a read each: a list will do, and
/// freeing a slot costs one comparison while nothing is held. Never allocates.
class slot_holds {
  public:
    static constexpr std::size_t most = 64;

    [[nodiscard]] std::size_t size() const { return size_; }

    /// Returns false if too many are held.
    [[nodiscard]] bool add(tier_number tier, slot_id slot) {
        if (hold* h = find(tier, slot)) {
            ++h->count;
            return true;
        }
        if (size_ == most)
            return false;
        held_[size_++] = {slot, tier, false, 1};
        return true;
    }
    /// The slot's page no longer names it. Returns whether freeing it has to wait.
    [[nodiscard]] bool defer_release(tier_number tier, slot_id slot) {
        hold* h = find(tier, slot);
        if (h == nullptr)
            return false;
        UFFDMM_CHECK(!h->freed, "a slot is freed once");
        h->freed = true;
        return true;
    }
    /// Ends one hold. Returns whether the slot is to be freed now.
    [[nodiscard]] bool remove(tier_number tier, slot_id slot) {
        hold* h = find(tier, slot);
        UFFDMM_CHECK(h != nullptr, "a hold that ends was there");
        if (--h->count != 0)
            return false;
        const bool freed = h->freed;
        *h = held_[--size_];
        return freed;
    }

  private:
    struct hold {
        slot_id slot;
        tier_number tier = 0;
        bool freed = false;
        unsigned count = 0;
    };
    [[nodiscard]] hold* find(tier_number tier, slot_id slot) {
        const std::span held(held_.data(), size_);
        const auto it = std::ranges::find_if(
            held, [&](const hold& h) { return h.slot == slot && h.tier == tier; });
        return it == held.end() ? nullptr : &*it;
    }

    std::array<hold, most> held_{};
    std::size_t size_ = 0;
};

} // namespace uffdmm
