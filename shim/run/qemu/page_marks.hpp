// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A bit for each page.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace preload::qemu {

class page_marks {
  public:
    static constexpr std::size_t none = ~std::size_t{0};

    explicit page_marks(std::size_t pages) : words_((pages + 63) / 64) {}

    [[nodiscard]] bool has(std::size_t page) const noexcept {
        return (words_[page / 64] >> page % 64 & 1) != 0;
    }
    void set(std::size_t page) noexcept {
        count_ += has(page) ? 0 : 1;
        words_[page / 64] |= std::uint64_t{1} << page % 64;
    }
    void clear(std::size_t page) noexcept {
        count_ -= has(page) ? 1 : 0;
        words_[page / 64] &= ~(std::uint64_t{1} << page % 64);
    }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

    /// The first one from `page` on that has a mark.
    [[nodiscard]] std::size_t next(std::size_t page) const noexcept {
        for (std::size_t at = page / 64; at < words_.size(); ++at) {
            std::uint64_t word = words_[at];
            if (at == page / 64)
                word &= ~std::uint64_t{0} << page % 64;
            if (word != 0)
                return at * 64 + static_cast<std::size_t>(std::countr_zero(word));
        }
        return none;
    }

  private:
    std::vector<std::uint64_t> words_;
    std::size_t count_ = 0;
};

} // namespace preload::qemu
