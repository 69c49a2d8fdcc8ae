// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/location.hpp"

#include <algorithm>

#include "detail/little_endian.hpp"
#include "uffdmm/shared_store.hpp"

namespace uffdmm {
namespace {

constexpr std::size_t at_check = location_bytes - 4;
constexpr std::uint64_t most_offset = std::uint64_t{1} << 62;

/// FNV-1a: finds damage, proves nothing.
std::uint32_t check_of(std::span<const std::byte> bytes) noexcept {
    std::uint32_t hash = 0x811c'9dc5;
    for (const std::byte b : bytes)
        hash = (hash ^ std::to_integer<std::uint32_t>(b)) * 0x0100'0193;
    return hash;
}

void put(std::byte* at, const store_id& id) noexcept {
    std::ranges::transform(id.bytes, at, [](std::uint8_t b) { return std::byte{b}; });
}

store_id get_store(const std::byte* at) noexcept {
    store_id id;
    std::transform(at, at + id.bytes.size(), id.bytes.begin(),
                   [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
    return id;
}

bool is_known(std::uint8_t kind) noexcept {
    return kind == static_cast<std::uint8_t>(location_kind::shared_file) ||
           kind == static_cast<std::uint8_t>(location_kind::network_block_device);
}

error refused(errc code, const char* why) noexcept {
    return {code, 0, why};
}

} // namespace

encoded_location encode(const location& place) noexcept {
    encoded_location out{};
    put_le<std::uint8_t>(out.data(), location_version);
    put_le(out.data() + 1, static_cast<std::uint8_t>(place.kind));
    put_le(out.data() + 4, place.length);
    put(out.data() + 8, place.store);
    put_le(out.data() + 24, place.offset);
    put_le(out.data() + 32, place.generation);
    put_le(out.data() + 40, place.checksum);
    put_le(out.data() + at_check, check_of(std::span(out).first(at_check)));
    return out;
}

result<location> decode_location(std::span<const std::byte> bytes) noexcept {
    const std::byte* const in = bytes.data();
    if (bytes.size() != location_bytes)
        return refused(errc::invalid_argument, "location: not 48 bytes long");
    if (get_le<std::uint32_t>(in + at_check) != check_of(bytes.first(at_check)))
        return refused(errc::corrupt, "location: damaged, its check does not fit");
    if (get_le<std::uint8_t>(in) != location_version)
        return refused(errc::not_supported, "location: of another version, only 1 is known");
    if (!is_known(get_le<std::uint8_t>(in + 1)))
        return refused(errc::not_supported, "location: of an unknown tier kind, 1 and 2 are known");
    if (get_le<std::uint16_t>(in + 2) != 0)
        return refused(errc::invalid_argument, "location: reserved bytes are not 0");
    location place;
    place.kind = static_cast<location_kind>(get_le<std::uint8_t>(in + 1));
    place.length = get_le<std::uint32_t>(in + 4);
    place.store = get_store(in + 8);
    place.offset = get_le<std::uint64_t>(in + 24);
    place.generation = get_le<std::uint64_t>(in + 32);
    place.checksum = get_le<std::uint32_t>(in + 40);
    if (place.length != page_size)
        return refused(errc::invalid_argument, "location: length is not 4096");
    if (!is_page_aligned(place.offset) || place.offset > most_offset)
        return refused(errc::invalid_argument,
                       "location: offset is not a multiple of 4096 up to 2^62");
    if (place.generation == 0)
        return refused(errc::invalid_argument, "location: generation is 0");
    if (place.store.none())
        return refused(errc::invalid_argument, "location: names no store");
    return place;
}

encoded_volume_name encode(const volume_name& name) noexcept {
    encoded_volume_name out{};
    put_le<std::uint8_t>(out.data(), volume_name_version);
    put_le(out.data() + 4, name.number);
    put_le(out.data() + 8, name.generation);
    put(out.data() + 16, name.store);
    return out;
}

result<volume_name> decode_volume_name(std::span<const std::byte> bytes) noexcept {
    const std::byte* const in = bytes.data();
    if (bytes.size() != volume_name_bytes)
        return refused(errc::invalid_argument, "volume name: not 32 bytes long");
    if (get_le<std::uint8_t>(in) != volume_name_version)
        return refused(errc::not_supported, "volume name: of another version, only 1 is known");
    if (std::any_of(in + 1, in + 4, [](std::byte b) { return b != std::byte{0}; }))
        return refused(errc::invalid_argument, "volume name: reserved bytes are not 0");
    const volume_name name{get_store(in + 16), get_le<std::uint32_t>(in + 4),
                           get_le<std::uint64_t>(in + 8)};
    if (name.generation == 0)
        return refused(errc::invalid_argument, "volume name: generation is 0");
    if (name.store.none())
        return refused(errc::invalid_argument, "volume name: names no store");
    return name;
}

} // namespace uffdmm
