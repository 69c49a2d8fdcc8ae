// SPDX-License-Identifier: BSD-3-Clause

/// Any sector of a shared store is either refused with a reason or is a header or record that says
/// what can be, and comes out the same when it is written again. The first byte of the input says
/// what the rest is, and whether its checksum is mended, without which no field would be seen.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "detail/little_endian.hpp"
#include "tier/checksum.hpp"
#include "tier/shared/format.hpp"
#include "uffdmm/check.hpp"

namespace {

using namespace uffdmm;

using sector_bytes = std::array<std::byte, sector_size>;

const store_geometry some_geometry{100'000, 10, 256};

void try_header(const sector_bytes& bytes) {
    const auto header = decode_header(bytes);
    if (!header) {
        UFFDMM_CHECK(*header.failure().operation != '\0', "a refusal says why");
        return;
    }
    const store_geometry& g = header.value().geometry;
    UFFDMM_CHECK(g.extents() != 0 && g.volumes != 0, "a store has room");
    UFFDMM_CHECK(g.table_offset() < g.table_end() && g.table_end() <= g.file_bytes(),
                 "parts of a store follow each other");
    // Pages apart are on a medium of their own.
    UFFDMM_CHECK(g.apart ? g.data_offset() == page_size
                         : g.data_offset() == g.table_end() && g.data_offset() < g.file_bytes(),
                 "its pages are behind all that");
    sector_bytes again{};
    encode(header.value(), again);
    const auto once_more = decode_header(again);
    UFFDMM_CHECK(once_more.ok() && once_more.value().geometry == g &&
                     once_more.value().id == header.value().id,
                 "what is written is read back unchanged");
}

void try_volume(const sector_bytes& bytes) {
    const auto record = decode_volume(bytes, some_geometry);
    if (!record)
        return;
    UFFDMM_CHECK(record.value().lock < some_geometry.volumes, "its lock is a volume's");
    UFFDMM_CHECK(record.value().host.size() <= 64 && record.value().label.size() <= 64,
                 "names end");
    sector_bytes again{};
    encode(record.value(), again);
    const auto once_more = decode_volume(again, some_geometry);
    UFFDMM_CHECK(once_more.ok() && once_more.value().state == record.value().state &&
                     once_more.value().generation == record.value().generation &&
                     once_more.value().holder == record.value().holder &&
                     once_more.value().nonce == record.value().nonce,
                 "what is written is read back unchanged");
}

void try_entry(const sector_bytes& bytes, std::uint32_t extent) {
    const auto entry = decode_entry(bytes.data(), extent, some_geometry);
    if (!entry)
        return;
    UFFDMM_CHECK(entry.value().owner <= some_geometry.volumes, "its owner is a volume, or nobody");
    std::array<std::byte, extent_entry_size> again{};
    encode(entry.value(), extent, again.data());
    const auto once_more = decode_entry(again.data(), extent, some_geometry);
    UFFDMM_CHECK(once_more.ok() && once_more.value() == entry.value(),
                 "what is written is read back unchanged");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0)
        return 0;
    sector_bytes bytes{};
    std::memcpy(bytes.data(), data + 1, std::min(size - 1, bytes.size()));
    const bool mended = (data[0] & 1) != 0;
    const std::span<const std::byte> all(bytes);
    if (mended)
        put_le(bytes.data() + sector_size - 4, checksum(all.first(sector_size - 4), 1));
    try_header(bytes);
    try_volume(bytes);
    const std::uint32_t extent = data[0] >> 1;
    if (mended)
        put_le(bytes.data() + extent_entry_size - 4,
               checksum(all.first(extent_entry_size - 4), extent));
    try_entry(bytes, extent);
    return 0;
}
