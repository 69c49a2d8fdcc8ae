// SPDX-License-Identifier: BSD-3-Clause
#include "tier/shared/format.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "detail/little_endian.hpp"
#include "tier/checksum.hpp"

namespace uffdmm {
namespace {

constexpr std::string_view family = "uffdmm shared store ";
constexpr std::string_view text =
    "uffdmm shared store\nMemory of virtual machines, of several hosts "
    "at once. Look at it with uffdmm-store; do not delete it while "
    "any of them runs.\n";
constexpr std::uint32_t format_version = 1;
constexpr std::uint32_t version_apart = 2;                    ///< differs in where the pages are
constexpr std::uint64_t volume_magic = 0x314c'4f56'6d64'6675; // "ufdmVOL1"
constexpr std::size_t at_check = sector_size - 4;
constexpr std::size_t name_size = 64;

void seal(sector out) noexcept {
    put_le(out.data() + at_check, checksum(out.first(at_check), format_version));
}
bool is_sealed(const_sector bytes) noexcept {
    return get_le<std::uint32_t>(bytes.data() + at_check) ==
           checksum(bytes.first(at_check), format_version);
}
bool is_zero(std::span<const std::byte> bytes) noexcept {
    return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

template <std::size_t N>
void put_bytes(std::byte* at, const std::array<std::uint8_t, N>& bytes) noexcept {
    std::memcpy(at, bytes.data(), N);
}
template <std::size_t N>
void get_bytes(const std::byte* at, std::array<std::uint8_t, N>& bytes) noexcept {
    std::memcpy(bytes.data(), at, N);
}
void put_text(std::byte* at, const std::string& s) noexcept {
    std::memcpy(at, s.data(), std::min(s.size(), name_size - 1));
}
std::string get_text(const std::byte* at) {
    const auto* const s = reinterpret_cast<const char*>(at);
    return {s, ::strnlen(s, name_size)};
}

bool is_possible(const store_geometry& g) noexcept {
    return g.slots != 0 && g.slots <= UINT32_MAX - 2047 && g.extent_shift >= 6 &&
           g.extent_shift <= 20 && g.volumes != 0 && g.volumes <= 1u << 16;
}

std::uint32_t check_of(const std::byte* entry, std::uint32_t extent) noexcept {
    return checksum({entry, extent_entry_size - 4}, extent);
}

} // namespace

bool looks_like_header(const_sector bytes) noexcept {
    return std::memcmp(bytes.data(), family.data(), family.size() - 1) == 0;
}

void encode(const store_header& header, sector out) noexcept {
    std::ranges::fill(out, std::byte{0});
    std::memcpy(out.data(), text.data(), text.size());
    put_le(out.data() + 192, header.geometry.apart ? version_apart : format_version);
    put_le(out.data() + 196, header.geometry.extent_shift);
    put_le(out.data() + 200, header.geometry.slots);
    put_le(out.data() + 204, header.geometry.volumes);
    put_bytes(out.data() + 208, header.id.bytes);
    seal(out);
}
static_assert(text.size() <= 192);

result<store_header> decode_header(const_sector bytes) noexcept {
    const auto version = get_le<std::uint32_t>(bytes.data() + 192);
    if (version != format_version && version != version_apart)
        return error{errc::not_supported, 0,
                     "shared store: of another version, only 1 and 2 are known"};
    store_header header;
    header.geometry.apart = version == version_apart;
    header.geometry.extent_shift = get_le<std::uint32_t>(bytes.data() + 196);
    header.geometry.slots = get_le<std::uint32_t>(bytes.data() + 200);
    header.geometry.volumes = get_le<std::uint32_t>(bytes.data() + 204);
    get_bytes(bytes.data() + 208, header.id.bytes);
    if (!is_sealed(bytes) || !is_possible(header.geometry) || header.id.none())
        return error{errc::corrupt, 0, "shared store: its header is damaged"};
    return header;
}

void encode(const volume_record& record, sector out) noexcept {
    std::ranges::fill(out, std::byte{0});
    std::byte* const at = out.data();
    put_le(at, volume_magic);
    put_le(at + 8, static_cast<std::uint32_t>(record.state));
    put_le(at + 12, std::uint32_t{record.keep});
    put_le(at + 16, record.generation);
    put_le(at + 24, record.sequence);
    put_bytes(at + 32, record.holder);
    put_le(at + 48, record.lock);
    put_bytes(at + 56, record.nonce);
    put_le(at + 72, record.changed);
    put_le(at + 80, record.process);
    put_text(at + 88, record.host);
    put_text(at + 152, record.label);
    seal(out);
}

result<volume_record> decode_volume(const_sector bytes, const store_geometry& g) {
    volume_record record;
    if (is_zero(bytes))
        return record;
    const std::byte* const at = bytes.data();
    const auto state = get_le<std::uint32_t>(at + 8);
    record.state = static_cast<volume_state>(state);
    record.keep = get_le<std::uint32_t>(at + 12) != 0;
    record.generation = get_le<std::uint64_t>(at + 16);
    record.sequence = get_le<std::uint64_t>(at + 24);
    get_bytes(at + 32, record.holder);
    record.lock = get_le<std::uint32_t>(at + 48);
    get_bytes(at + 56, record.nonce);
    record.changed = get_le<std::uint64_t>(at + 72);
    record.process = get_le<std::uint64_t>(at + 80);
    record.host = get_text(at + 88);
    record.label = get_text(at + 152);
    if (get_le<std::uint64_t>(at) != volume_magic || !is_sealed(bytes) || state > 2 ||
        record.lock >= g.volumes)
        return error{errc::corrupt, 0, "shared store: a volume's record is damaged"};
    return record;
}

void encode(const extent_entry& entry, std::uint32_t extent, std::byte* out) noexcept {
    put_le(out, entry.generation);
    put_le(out + 8, entry.owner);
    put_le(out + 12, check_of(out, extent));
}

result<extent_entry> decode_entry(const std::byte* bytes, std::uint32_t extent,
                                  const store_geometry& g) noexcept {
    if (is_zero({bytes, extent_entry_size}))
        return extent_entry{};
    const extent_entry entry{get_le<std::uint32_t>(bytes + 8), get_le<std::uint64_t>(bytes)};
    if (get_le<std::uint32_t>(bytes + 12) != check_of(bytes, extent) || entry.owner > g.volumes ||
        entry.generation > most_extent_generation)
        return error{errc::corrupt, 0, "shared store: an entry of its extent table is damaged"};
    return entry;
}

} // namespace uffdmm
