// SPDX-License-Identifier: BSD-3-Clause
#include "manager/snapshot_format.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "detail/little_endian.hpp"
#include "tier/checksum.hpp"

namespace uffdmm {
namespace {

constexpr char magic[8] = {'u', 'f', 'f', 'd', 'm', 'm', 's', 'n'};
constexpr std::uint32_t version = 1;
constexpr std::size_t sum_at = snapshot_header_bytes - 4;
constexpr std::size_t volume_at = 64;
constexpr std::size_t nonce_at = 96;

} // namespace

std::uint32_t snapshot_sum(std::span<const std::byte> bytes) noexcept {
    return checksum(bytes, version);
}

std::size_t snapshot_entry::extras_bytes() const {
    return location_bytes * static_cast<std::size_t>(std::popcount(located)) +
           sizeof(std::uint64_t) * static_cast<std::size_t>(std::popcount(filled));
}

void encode(const snapshot_entry& entry, std::byte* to) noexcept {
    const std::uint64_t words[] = {entry.contents, entry.located,       entry.filled, entry.lost,
                                   entry.warm,     entry.contents_page, entry.extras};
    for (std::size_t i = 0; i < std::size(words); ++i)
        put_le(to + 8 * i, words[i]);
    put_le(to + 56, entry.contents_sum);
    put_le(to + 60, entry.extras_sum);
}

snapshot_entry decode_entry(const std::byte* from) noexcept {
    snapshot_entry entry;
    std::uint64_t* const words[] = {&entry.contents, &entry.located, &entry.filled,
                                    &entry.lost,     &entry.warm,    &entry.contents_page,
                                    &entry.extras};
    for (std::size_t i = 0; i < std::size(words); ++i)
        *words[i] = get_le<std::uint64_t>(from + 8 * i);
    entry.contents_sum = get_le<std::uint32_t>(from + 56);
    entry.extras_sum = get_le<std::uint32_t>(from + 60);
    return entry;
}

std::array<std::byte, snapshot_header_bytes> encode(const snapshot_header& header) noexcept {
    std::array<std::byte, snapshot_header_bytes> page{};
    std::memcpy(page.data(), magic, sizeof magic);
    put_le(&page[8], version);
    put_le(&page[12], static_cast<std::uint32_t>(page_size));
    put_le(&page[16], header.region_bytes);
    put_le(&page[24], header.index);
    put_le(&page[32], header.index_sum);
    put_le(&page[36], std::uint32_t{header.has_volume});
    if (header.has_volume) {
        const encoded_volume_name name = encode(header.volume);
        std::memcpy(&page[volume_at], name.data(), name.size());
        std::memcpy(&page[nonce_at], header.nonce.data(), header.nonce.size());
    }
    put_le(&page[sum_at], snapshot_sum(std::span(page).first(sum_at)));
    return page;
}

result<snapshot_header> decode_header(std::span<const std::byte> page) noexcept {
    if (page.size() != snapshot_header_bytes || std::memcmp(page.data(), magic, sizeof magic) != 0)
        return error{errc::invalid_argument, 0, "restore: the file is no snapshot"};
    if (get_le<std::uint32_t>(&page[sum_at]) != snapshot_sum(page.first(sum_at)))
        return error{errc::corrupt, 0, "restore: the snapshot's header is damaged"};
    if (get_le<std::uint32_t>(&page[8]) != version || get_le<std::uint32_t>(&page[12]) != page_size)
        return error{errc::not_supported, 0, "restore: a snapshot of another version"};
    snapshot_header header;
    header.region_bytes = get_le<std::uint64_t>(&page[16]);
    header.index = get_le<std::uint64_t>(&page[24]);
    header.index_sum = get_le<std::uint32_t>(&page[32]);
    header.has_volume = get_le<std::uint32_t>(&page[36]) != 0;
    if (header.has_volume) {
        const auto name = decode_volume_name(page.subspan(volume_at, volume_name_bytes));
        if (!name)
            return name.failure();
        header.volume = name.value();
        std::memcpy(header.nonce.data(), &page[nonce_at], header.nonce.size());
    }
    return header;
}

} // namespace uffdmm
