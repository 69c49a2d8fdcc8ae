// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The bytes of a snapshot; uffdmm/snapshot.hpp draws the file.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "uffdmm/result.hpp"
#include "uffdmm/shared_store.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

inline constexpr page_count snapshot_window = 64;

/// Pages of an aligned window of 64; masks with the first page lowest.
struct snapshot_entry {
    std::uint64_t contents = 0; ///< in the file
    std::uint64_t located = 0;
    std::uint64_t filled = 0;
    std::uint64_t lost = 0;
    std::uint64_t warm = 0;          ///< of `contents`: were resident
    std::uint64_t contents_page = 0; ///< of the file: its first page of contents
    std::uint64_t extras = 0;        ///< offset in the file of its locations and words
    std::uint32_t contents_sum = 0;
    std::uint32_t extras_sum = 0;

    [[nodiscard]] std::size_t extras_bytes() const;
};
inline constexpr std::size_t snapshot_entry_bytes = 64;

struct snapshot_header {
    byte_count region_bytes = 0;
    std::uint64_t index = 0; ///< offset in the file
    std::uint32_t index_sum = 0;
    bool has_volume = false;
    volume_name volume;
    handover_nonce nonce{};

    [[nodiscard]] std::uint64_t windows() const {
        return (region_bytes / page_size + snapshot_window - 1) / snapshot_window;
    }
};
inline constexpr std::size_t snapshot_header_bytes = page_size;

void encode(const snapshot_entry& entry, std::byte* to) noexcept;
[[nodiscard]] snapshot_entry decode_entry(const std::byte* from) noexcept;

[[nodiscard]] std::array<std::byte, snapshot_header_bytes>
encode(const snapshot_header& header) noexcept;
/// invalid_argument: no snapshot; not_supported: another version or page size; corrupt: damaged.
[[nodiscard]] result<snapshot_header> decode_header(std::span<const std::byte> page) noexcept;

[[nodiscard]] std::uint32_t snapshot_sum(std::span<const std::byte> bytes) noexcept;

} // namespace uffdmm
