// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Where the kernel makes huge pages of zeros, to be moved into the guest: one aligned block of
/// private memory for which huge pages are allowed. The first touch of the empty block is a fault
/// that the kernel answers with a huge page, if it has one.

#include <cstddef>
#include <cstdint>

#include <sys/mman.h>

#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

class huge_source {
  public:
    /// 2 MiB: what one entry of the middle page directory maps, on every machine with 4 KiB pages.
    static constexpr page_count pages = 512;

    /// Not locked even after mlockall(MCL_FUTURE): moves between locked and unlocked memory are
    /// refused. Throws setup_error (no_memory).
    huge_source() : room_(mapping::on_demand(2 * bytes)) {
        const auto start = reinterpret_cast<std::uintptr_t>(room_.data());
        block_ = room_.data() + (bytes - start % bytes) % bytes;
        (void)::madvise(block_, bytes, MADV_HUGEPAGE);
    }

    /// The block, empty or holding a huge page.
    [[nodiscard]] std::byte* block() const noexcept { return block_; }

    /// Returns whether the block holds a huge page now. To write, and not to read: the kernel's
    /// shared huge page of zeros must not be moved (on Linux 6.16 and later what arrives is not
    /// that page).
    [[nodiscard]] bool fill() noexcept {
        *reinterpret_cast<volatile unsigned char*>(block_) = 0;
        // A smaller page would not reach to the end of the block.
        unsigned char present = 0;
        if (::mincore(block_ + bytes - page_size, page_size, &present) == 0 && (present & 1) != 0)
            return true;
        empty();
        return false;
    }
    /// Gives back what is left in the block.
    void empty() noexcept { (void)::madvise(block_, bytes, MADV_DONTNEED); }

  private:
    static constexpr std::size_t bytes = std::size_t{pages} * page_size;

    mapping room_;
    std::byte* block_ = nullptr;
};

} // namespace uffdmm
