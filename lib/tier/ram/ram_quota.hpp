// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The memory that all shards' instances of a compressed RAM tier may take together.

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "uffdmm/types.hpp"

namespace uffdmm {

/// Any thread. The numbers order nothing but themselves, so everything is relaxed.
class ram_quota {
  public:
    explicit ram_quota(byte_count size) : size_(size) {}
    ram_quota(const ram_quota&) = delete;
    ram_quota& operator=(const ram_quota&) = delete;

    void join() noexcept { members_.fetch_add(1, std::memory_order_relaxed); }
    void leave() noexcept { members_.fetch_sub(1, std::memory_order_relaxed); }

    /// Takes `bytes` if that many are left.
    [[nodiscard]] bool try_take(byte_count bytes) noexcept {
        byte_count taken = taken_.load(std::memory_order_relaxed);
        do {
            if (taken + bytes > size_)
                return false;
        } while (!taken_.compare_exchange_weak(taken, taken + bytes, std::memory_order_relaxed));
        return true;
    }
    void give_back(byte_count bytes) noexcept {
        taken_.fetch_sub(bytes, std::memory_order_relaxed);
    }

    [[nodiscard]] byte_count size() const noexcept { return size_; }
    [[nodiscard]] byte_count taken() const noexcept {
        return taken_.load(std::memory_order_relaxed);
    }
    /// What a member that holds `held` bytes may reach: what nobody holds is shared out evenly, so
    /// that the members' figures add up to the size.
    [[nodiscard]] byte_count reachable(byte_count held) const noexcept {
        const byte_count left = size_ - std::min(size_, taken());
        return held + left / std::max(members_.load(std::memory_order_relaxed), 1u);
    }

  private:
    const byte_count size_;
    std::atomic<byte_count> taken_{0};
    std::atomic<unsigned> members_{0};
};

} // namespace uffdmm
