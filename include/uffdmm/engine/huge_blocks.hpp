// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The blocks of a shard that could be one huge page each, and which of them still can: those in
/// which no single page was mapped so far. Single pages need a page table in the place where the
/// huge page would go, and the kernel keeps it when they are gone.

#include <algorithm>
#include <vector>

#include "uffdmm/types.hpp"

namespace uffdmm {

/// Owner: the shard.
class huge_blocks {
  public:
    /// `address`: of the shard's first page, in the guest's mapping. `size`: pages of a huge page;
    /// 0: there are none.
    huge_blocks(page_count pages, std::uint64_t address, page_count size)
        : pages_(pages), size_(size) {
        if (size == 0)
            return;
        skew_ = static_cast<page_count>((address >> page_shift) % size);
        has_table_.resize((std::size_t{pages} + skew_ + size - 1) / size);
    }

    /// The block that the page is in, as far as it is the shard's. Only where there are huge pages.
    [[nodiscard]] page_run around(page_index page) const {
        const std::uint64_t start = number_of(page) * size_; // counted from the first block's
        const std::uint64_t first = std::max<std::uint64_t>(start, skew_) - skew_;
        const std::uint64_t end = std::min<std::uint64_t>(start + size_ - skew_, pages_);
        return {{static_cast<std::uint32_t>(first)}, static_cast<page_count>(end - first)};
    }
    /// Whether a huge page may be mapped there.
    [[nodiscard]] bool can_be_huge(page_run block) const {
        return block.count == size_ && !has_table_[number_of(block.first)];
    }

    /// While memory is ample: blocks that can be huge are to be.
    void set_wanted(bool wanted) { wanted_ = wanted; }
    [[nodiscard]] bool wanted() const { return wanted_; }
    /// Whether the page should not be mapped alone if nobody asked for it.
    [[nodiscard]] bool reserves(page_index page) const {
        return wanted_ && can_be_huge(around(page));
    }

    /// The page was mapped alone, or was taken out of its huge page.
    void has_single(page_index page) {
        if (size_ != 0)
            has_table_[number_of(page)] = true;
    }

  private:
    [[nodiscard]] std::uint64_t number_of(page_index page) const {
        return (std::uint64_t{page.value} + skew_) / size_;
    }

    page_count pages_;
    page_count size_;
    page_count skew_ = 0;         ///< pages of the first block that lie before the shard
    std::vector<bool> has_table_; ///< by block
    bool wanted_ = false;
};

} // namespace uffdmm
