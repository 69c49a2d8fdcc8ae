// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Advice about managed memory that is not followed, since it would work against the library.

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>

#include <sys/mman.h>

namespace preload {

[[nodiscard]] inline const char* name_of_advice(int advice) noexcept {
    switch (advice) {
    case MADV_RANDOM:
        return "MADV_RANDOM";
    case MADV_SEQUENTIAL:
        return "MADV_SEQUENTIAL";
    case MADV_WILLNEED:
        return "MADV_WILLNEED";
    case MADV_REMOVE:
        return "MADV_REMOVE";
    case MADV_DOFORK:
        return "MADV_DOFORK";
    case MADV_MERGEABLE:
        return "MADV_MERGEABLE";
    case MADV_HUGEPAGE:
        return "MADV_HUGEPAGE";
    case MADV_WIPEONFORK:
        return "MADV_WIPEONFORK";
    case MADV_COLD:
        return "MADV_COLD";
    case MADV_PAGEOUT:
        return "MADV_PAGEOUT";
    default:
        return "an madvise";
    }
}

/// Any thread.
class absorbed_advice {
  public:
    /// How often it was given before.
    std::uint64_t add(int advice) noexcept {
        return counts_[kind_of(advice)].fetch_add(1, std::memory_order_relaxed);
    }

    /// "MADV_HUGEPAGE 3 times, MADV_MERGEABLE once", cut where the room ends; "" if there is none.
    void print(char* text, std::size_t room) const noexcept {
        text[0] = '\0';
        std::size_t at = 0;
        for (std::size_t i = 0; i < counts_.size() && at + 1 < room; ++i)
            if (const std::uint64_t times = counts_[i].load(std::memory_order_relaxed); times != 0)
                at += static_cast<std::size_t>(std::snprintf(
                    text + at, room - at, "%s%s %llu times", at == 0 ? "" : ", ",
                    name_of_advice(static_cast<int>(i)), static_cast<unsigned long long>(times)));
    }

  private:
    static constexpr std::size_t kinds = 64; ///< the last stands for all others

    [[nodiscard]] static std::size_t kind_of(int advice) noexcept {
        return advice >= 0 && advice < static_cast<int>(kinds) ? static_cast<std::size_t>(advice)
                                                               : kinds - 1;
    }

    std::array<std::atomic<std::uint64_t>, kinds> counts_{};
};

} // namespace preload
