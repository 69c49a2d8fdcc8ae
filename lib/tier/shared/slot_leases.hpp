// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Slots that other hosts have been told of. A leased slot that its owner gives up is not freed:
/// it stays as it is until the lease ends. Two bits a slot:
///
///     told  kept
///      0     0    not leased
///      1     0    leased, in use
///      1     1    leased, given up by its owner: freed when the lease ends
///
/// The bits are atomic because an extent that came from another host may have slots of several
/// shards; they order nothing.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "tier/file/extent_pool.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/detail/mutex.hpp"

namespace uffdmm {

class slot_leases {
  public:
    /// Throws setup_error (no_memory).
    explicit slot_leases(const extent_pool& pool)
        : words_per_extent_(pool.slots_per_extent() / 64),
          words_(std::size_t{pool.extents()} * words_per_extent_),
          memory_(mapping::anonymous(2 * words_ * sizeof(std::uint64_t))) {}

    void tell(std::uint32_t slot) noexcept {
        told(slot / 64).fetch_or(bit(slot), std::memory_order_relaxed);
    }
    [[nodiscard]] bool is_told(std::uint32_t slot) const noexcept {
        return (told(slot / 64).load(std::memory_order_relaxed) & bit(slot)) != 0;
    }
    void keep(std::uint32_t slot) noexcept {
        kept(slot / 64).fetch_or(bit(slot), std::memory_order_relaxed);
    }
    [[nodiscard]] bool is_kept(std::uint32_t slot) const noexcept {
        return (kept(slot / 64).load(std::memory_order_relaxed) & bit(slot)) != 0;
    }
    /// A shard begins, or ends, to have leases.
    void begin_leasing() noexcept {
        const mutex_lock lock(several_);
        ++leasing_;
    }
    void end_leasing() noexcept {
        const mutex_lock lock(several_);
        --leasing_;
    }
    /// The same as end() for an extent with slots of several shards: only when none has leases.
    template <typename Free>
    void end_of_several(std::uint32_t extent, Free&& free_slot) noexcept {
        const mutex_lock lock(several_);
        if (leasing_ == 0)
            end(extent, std::forward<Free>(free_slot));
    }
    /// Ends the leases of an extent; calls free_slot(slot) for those that were kept.
    template <typename Free>
    void end(std::uint32_t extent, Free&& free_slot) noexcept {
        const std::size_t first = std::size_t{extent} * words_per_extent_;
        for (std::size_t word = first; word < first + words_per_extent_; ++word) {
            if (told(word).load(std::memory_order_relaxed) == 0)
                continue;
            told(word).store(0, std::memory_order_relaxed);
            std::uint64_t bits = kept(word).exchange(0, std::memory_order_relaxed);
            for (; bits != 0; bits &= bits - 1)
                free_slot(static_cast<std::uint32_t>(word * 64 +
                                                     static_cast<unsigned>(__builtin_ctzll(bits))));
        }
    }

  private:
    [[nodiscard]] static std::uint64_t bit(std::uint32_t slot) {
        return std::uint64_t{1} << slot % 64;
    }
    [[nodiscard]] std::atomic_ref<std::uint64_t> told(std::size_t word) const noexcept {
        return std::atomic_ref(reinterpret_cast<std::uint64_t*>(memory_.data())[word]);
    }
    [[nodiscard]] std::atomic_ref<std::uint64_t> kept(std::size_t word) const noexcept {
        return told(words_ + word);
    }

    std::size_t words_per_extent_;
    std::size_t words_;
    mapping memory_;
    mutex several_; ///< never taken to answer a fault
    unsigned leasing_ UFFDMM_GUARDED_BY(several_) = 0;
};

} // namespace uffdmm
