// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Page-aligned buffers for tier I/O, handed out in contiguous runs of up to 64 pages so that what
/// was read together can be installed by one ioctl. Plain memory of the process, never guest
/// memory.

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
        : memory_(mapping::anonymous(std::size_t{words_for(pages)} * 64 * page_size)),
          used_(words_for(pages)) {}

    [[nodiscard]] byte_count memory_bytes() const { return memory_.size(); }

    /// `n` (1..64) contiguous pages, or nullptr.
    [[nodiscard]] std::byte* take(page_count n) {
        for (std::size_t w = 0; w < used_.size(); ++w) {
            const std::uint64_t starts = run_starts(~used_[w], n);
            if (starts == 0)
                continue;
            const auto index = static_cast<unsigned>(std::countr_zero(starts));
            used_[w] |= mask(index, n);
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

  private:
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
};

} // namespace uffdmm
