// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What the interception did, counted.

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

namespace preload {

enum class count : std::uint8_t {
    mappings,        ///< taken under management
    large_blocks,    ///< of malloc, taken
    parts_unmapped,  ///< munmap of a part: discarded, its addresses free for the next mapping
    unmanaged,       ///< large enough, but not fit to be taken
    moved,           ///< mremap that copied
    discards,        ///< madvise
    absorbed_advice, ///< madvise that would have worked against the library
    absorbed_locks,  ///< mlock, mlockall
    absorbed_preallocation,
    refused ///< calls that got an error
};
inline constexpr std::array count_names{
    "mappings",        "large_blocks",   "parts_unmapped",         "unmanaged", "moved", "discards",
    "absorbed_advice", "absorbed_locks", "absorbed_preallocation", "refused"};

/// Any thread.
class tally {
  public:
    std::uint64_t add(count what) noexcept {
        return counts_[static_cast<std::size_t>(what)].fetch_add(1, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t of(count what) const noexcept {
        return counts_[static_cast<std::size_t>(what)].load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::string to_json() const {
        std::string text = "{";
        for (std::size_t i = 0; i < count_names.size(); ++i)
            text.append(i == 0 ? "\"" : ", \"")
                .append(count_names[i])
                .append("\": ")
                .append(std::to_string(of(static_cast<count>(i))));
        return text + "}";
    }

  private:
    std::array<std::atomic<std::uint64_t>, count_names.size()> counts_{};
};

} // namespace preload
