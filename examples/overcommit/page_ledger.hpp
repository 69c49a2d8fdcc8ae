// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What every page must hold now, kept outside the managed memory: its version, and whether it must
/// read as zeros. One word a page, which is the page's lock too, so that a touch is verified
/// exactly however many threads there are.

#include <atomic>
#include <cstdint>
#include <memory>

#include <sched.h>

#include "uffdmm/types.hpp"

namespace overcommit {

/// What a page must hold.
struct page_record {
    std::uint32_t version = 0; ///< of the last write; goes on rising over discards
    bool zeros = true;         ///< never written, or discarded since
    bool corrupt = false;      ///< was found corrupt once

    friend constexpr bool operator==(page_record, page_record) = default;
};

class page_ledger {
  public:
    explicit page_ledger(uffdmm::page_count pages)
        : pages_(pages), words_(std::make_unique<word[]>(pages)) {
        for (uffdmm::page_count i = 0; i < pages; ++i)
            words_[i].store(pack({}), std::memory_order_relaxed); // its memory is there from now on
    }

    [[nodiscard]] uffdmm::page_count pages() const noexcept { return pages_; }

    /// Any thread. Waits while another thread holds the page. Locking several: ascending.
    [[nodiscard]] page_record lock(std::uint64_t page) noexcept {
        for (;;) {
            std::uint32_t now = words_[page].load(std::memory_order_relaxed);
            // acquire: pairs with the release in unlock(); the page's bytes come with the lock.
            if ((now & locked) == 0 &&
                words_[page].compare_exchange_weak(now, now | locked, std::memory_order_acquire,
                                                   std::memory_order_relaxed))
                return unpack(now);
            ::sched_yield(); // the holder may be waiting for a fault
        }
    }

    /// The thread that holds the page.
    void unlock(std::uint64_t page, page_record record) noexcept {
        words_[page].store(pack(record), std::memory_order_release);
    }

    /// Pages found corrupt. While nobody works.
    [[nodiscard]] std::uint64_t corrupt_pages() const noexcept {
        std::uint64_t found = 0;
        for (uffdmm::page_count i = 0; i < pages_; ++i)
            found += unpack(words_[i].load(std::memory_order_relaxed)).corrupt ? 1 : 0;
        return found;
    }

  private:
    using word = std::atomic<std::uint32_t>;
    static constexpr std::uint32_t locked = 1u << 31;
    static constexpr std::uint32_t zeros_bit = 1u << 30;
    static constexpr std::uint32_t corrupt_bit = 1u << 29;
    static constexpr std::uint32_t version_mask = corrupt_bit - 1;

    [[nodiscard]] static constexpr std::uint32_t pack(page_record record) noexcept {
        return (record.version & version_mask) | (record.zeros ? zeros_bit : 0) |
               (record.corrupt ? corrupt_bit : 0);
    }
    [[nodiscard]] static constexpr page_record unpack(std::uint32_t w) noexcept {
        return {w & version_mask, (w & zeros_bit) != 0, (w & corrupt_bit) != 0};
    }

    uffdmm::page_count pages_;
    std::unique_ptr<word[]> words_;
};

} // namespace overcommit
