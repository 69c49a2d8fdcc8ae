// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Which pages of an area belong to the program. One thread at a time. Allocates by mmap alone: the
/// program's malloc may be the caller.

#include <cstddef>
#include <cstdint>

namespace preload {

class page_bitmap {
  public:
    static constexpr std::size_t none = ~std::size_t{0};

    /// False if memory ran out. All pages are free.
    [[nodiscard]] bool create(std::size_t pages) noexcept;
    void destroy() noexcept;

    /// First of `count` free pages at a multiple of `alignment` pages counted from `offset` pages
    /// before the first one; `none` if there are none.
    [[nodiscard]] std::size_t find_free(std::size_t count, std::size_t alignment,
                                        std::size_t offset) const noexcept;
    void set(std::size_t first, std::size_t count, bool used) noexcept;
    [[nodiscard]] bool is_free(std::size_t first, std::size_t count) const noexcept;
    [[nodiscard]] bool empty() const noexcept { return is_free(0, pages_); }

  private:
    /// First page in use from `first` on, or `end`.
    [[nodiscard]] std::size_t next_used(std::size_t first, std::size_t end) const noexcept;

    std::uint64_t* words_ = nullptr;
    std::size_t pages_ = 0;
};

} // namespace preload
