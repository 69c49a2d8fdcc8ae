// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Page-aligned buffers for tier I/O, handed out in contiguous runs of up to 64 pages so that what
/// was read together can be installed by one ioctl. Plain memory of the process, never guest
/// memory. The lowest free ones are handed out, so that few of them ever hold memory; trim() gives
/// back what a burst has left.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "uffdmm/check.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Owner: the shard. Never allocates after construction.
class buffer_pool {
  public:
    /// `pages` is rounded up to a multiple of 64.
    explicit buffer_pool(page_count pages)
        : memory_(mapping::on_demand(std::size_t{words_for(pages)} * 64 * page_size)),
          used_(words_for(pages)) {}

    /// Memory the buffers hold, in use or not.
    [[nodiscard]] byte_count memory_bytes() const { return bytes_of(touched_); }

    /// `n` (1..64) contiguous pages, or nullptr.
    [[nodiscard]] std::byte* take(page_count n) {
        for (std::size_t w = 0; w < used_.size(); ++w) {
            const std::uint64_t starts = run_starts(~used_[w], n);
            if (starts == 0)
                continue;
            const auto index = static_cast<unsigned>(std::countr_zero(starts));
            used_[w] |= mask(index, n);
            touched_ = std::max(touched_, static_cast<page_count>(w * 64 + index + n));
            return memory_.data() + (w * 64 + index) * page_size;
        }
        return nullptr;
    }
    void give_back(std::byte* buffer, page_count n) {
        const auto page = static_cast<std::size_t>(buffer - memory_.data()) / page_size;
        const std::uint64_t run = mask(static_cast<unsigned>(page % 64), n);
        UFFDMM_CHECK((used_[page / 64] & run) == run, "the buffer was taken");
        used_[page / 64] &= ~run;
    }
    [[nodiscard]] bool all_free() const {
        for (std::uint64_t word : used_)
            if (word != 0)
                return false;
        return true;
    }

    /// Buffers that are kept even when nobody uses them.
    static constexpr page_count kept = 16;

    [[nodiscard]] bool trimmable() const { return touched_ > kept_ && touched_ > in_use_to(); }
    /// Gives the memory beyond the last buffer in use back, but for a few buffers. Returns whether
    /// there was something to do. One TLB flush.
    bool trim() {
        if (!trimmable())
            return false;
        const page_count keep = std::max(kept_, in_use_to());
        if (memory_.give_back(std::size_t{keep} * page_size,
                              std::size_t{touched_ - keep} * page_size))
            touched_ = keep;
        else
            kept_ = touched_; // the embedder has locked the memory
        return true;
    }

  private:
    /// End of the last buffer in use.
    [[nodiscard]] page_count in_use_to() const {
        for (std::size_t w = used_.size(); w-- != 0;)
            if (used_[w] != 0)
                return static_cast<page_count>((w + 1) * 64) -
                       static_cast<page_count>(std::countl_zero(used_[w]));
        return 0;
    }
    [[nodiscard]] static std::size_t words_for(page_count pages) { return (pages + 63) / 64; }
    [[nodiscard]] static std::uint64_t mask(unsigned index, page_count n) {
        return (n == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1) << index;
    }
    /// Bits at which a run of n set bits starts: halving steps, as in Hacker's Delight 6-2.
    [[nodiscard]] static std::uint64_t run_starts(std::uint64_t bits, page_count n) {
        while (n > 1 && bits != 0) {
            const page_count half = n / 2;
            bits &= bits >> half;
            n -= half;
        }
        return bits;
    }

    mapping memory_;
    std::vector<std::uint64_t> used_;
    page_count touched_ = 0; ///< from the first on
    page_count kept_ = kept;
};

} // namespace uffdmm
