// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What is written in a shared store besides pages. README.md draws it; all integers are
/// little-endian.
///
///     header         1 page      written once
///     volume records 1 page each; the record is the first 512 bytes, a sector, which a disk
///                                writes whole or not at all
///     extent table   16 bytes each, so that none is in two sectors
///     pages          extents, each of which belongs to one volume or to nobody; in a store of
///                    version 2 not here, but on a medium of their own (pages_apart.hpp)
///
/// Everything but the header may be all zeros, which is how a new file reads: free.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "uffdmm/location.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/shared_store.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

inline constexpr std::size_t sector_size = 512;
inline constexpr std::size_t extent_entry_size = 16;

struct store_geometry {
    std::uint32_t slots = 0;        ///< pages that can be stored
    std::uint32_t extent_shift = 6; ///< log2 of slots per extent
    std::uint32_t volumes = 0;
    bool apart = false; ///< pages are elsewhere, behind a page that names the store

    friend bool operator==(const store_geometry&, const store_geometry&) = default;
    [[nodiscard]] std::uint32_t extents() const {
        return slots == 0 ? 0 : ((slots - 1) >> extent_shift) + 1;
    }
    [[nodiscard]] std::uint64_t volume_offset(std::uint32_t volume) const {
        return (std::uint64_t{volume} + 1) * page_size;
    }
    [[nodiscard]] std::uint64_t table_offset() const { return volume_offset(volumes); }
    [[nodiscard]] std::uint64_t table_end() const {
        return table_offset() + bytes_of(pages_of(std::uint64_t{extents()} * extent_entry_size));
    }
    /// Of the first slot, in the file or on the medium that the pages are on.
    [[nodiscard]] std::uint64_t data_offset() const { return apart ? page_size : table_end(); }
    [[nodiscard]] std::uint64_t file_bytes() const {
        return table_end() + (apart ? 0 : bytes_of(slots));
    }
};

struct store_header {
    store_id id;
    store_geometry geometry;
};

enum class volume_state : std::uint32_t {
    free = 0,
    held = 1,   ///< its holder alone writes to it and frees in it
    offered = 2 ///< nobody does, until the holder cancels or whoever has the nonce accepts
};

using holder_id = std::array<std::uint8_t, 16>;

struct volume_record {
    volume_state state = volume_state::free;
    bool keep = false;            ///< offered: waits without a living holder
    std::uint64_t generation = 0; ///< grows whenever the volume changes hands
    std::uint64_t sequence = 0;   ///< of writes of this record
    holder_id holder{};           ///< random, made by each opening of the store
    std::uint32_t lock = 0;       ///< the volume whose lock says whether the holder lives
    handover_nonce nonce{};       ///< of the last offer
    // For people:
    std::uint64_t changed = 0; ///< seconds since 1970
    std::uint64_t process = 0;
    std::string host;  ///< at most 63 bytes
    std::string label; ///< name of the tier; at most 63 bytes
};

struct extent_entry {
    std::uint32_t owner = 0;      ///< number of the volume + 1; 0: nobody
    std::uint64_t generation = 0; ///< of the owners there have been
    friend bool operator==(extent_entry, extent_entry) = default;
};

/// Larger ones do not fit in a location's generation, which has the slot's in the low 4 bits.
inline constexpr std::uint64_t most_extent_generation = (std::uint64_t{1} << 59) - 1;

using sector = std::span<std::byte, sector_size>;
using const_sector = std::span<const std::byte, sector_size>;

/// Whether the sector starts like a header, of whatever version.
[[nodiscard]] bool looks_like_header(const_sector bytes) noexcept;
void encode(const store_header& header, sector out) noexcept;
/// not_supported: another version; corrupt: damaged, or fields that cannot be.
[[nodiscard]] result<store_header> decode_header(const_sector bytes) noexcept;

void encode(const volume_record& record, sector out) noexcept;
/// corrupt: damaged. All zeros is a free volume.
[[nodiscard]] result<volume_record> decode_volume(const_sector bytes, const store_geometry& g);

void encode(const extent_entry& entry, std::uint32_t extent, std::byte* out) noexcept;
/// corrupt: damaged, or the entry of another extent. All zeros is a free one.
[[nodiscard]] result<extent_entry> decode_entry(const std::byte* bytes, std::uint32_t extent,
                                                const store_geometry& g) noexcept;

} // namespace uffdmm
