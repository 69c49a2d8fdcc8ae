// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A location: what another host needs to find the contents of a swapped page in a store that it
/// can read too. Its wire form has 48 bytes, little-endian, and goes instead of a page:
///
///      0         1      2     4        8          24       32           40         44      48
///     ┌─────────┬──────┬─────┬────────┬──────────┬────────┬────────────┬──────────┬───────┐
///     │ version │ kind │  0  │ length │ store id │ offset │ generation │ checksum │ check │
///     └─────────┴──────┴─────┴────────┴──────────┴────────┴────────────┴──────────┴───────┘
///         u8       u8    u16    u32    16 bytes     u64        u64          u32      u32
///
/// version     location_version. Another one is refused: it may mean anything.
/// kind        of the tier that wrote the slot (location_kind).
/// length      of the contents in the store, in bytes: page_size.
/// store id    which store; random, made with the store.
/// offset      of the contents in the store, in bytes: a multiple of page_size.
/// generation  of the slot's contents. It changes when the slot is freed, and never comes back
///             once the slot has had another owner.
/// checksum    of the contents, seeded with the generation and the offset: what is read there
///             verifies only if it is what the location was made for, wherever else it may be.
/// check       of the 44 bytes before: a location damaged on its way is refused, not looked up.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "uffdmm/export.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Names a store, the same on every host; all zeros: no store.
struct store_id {
    std::array<std::uint8_t, 16> bytes{};

    friend bool operator==(const store_id&, const store_id&) = default;
    [[nodiscard]] bool none() const noexcept { return *this == store_id{}; }
};

/// Which kind of tier can read the location. Values are part of the wire form: append only.
enum class location_kind : std::uint8_t {
    shared_file = 1,         ///< a file that several hosts mount
    network_block_device = 2 ///< an export of an NBD server
};

struct location {
    store_id store;
    std::uint64_t offset = 0;     ///< bytes
    std::uint64_t generation = 0; ///< never 0
    std::uint32_t length = page_size;
    std::uint32_t checksum = 0;
    location_kind kind = location_kind::shared_file;

    friend bool operator==(const location&, const location&) = default;
};

inline constexpr std::uint8_t location_version = 1;
inline constexpr std::size_t location_bytes = 48;
using encoded_location = std::array<std::byte, location_bytes>;

/// Any thread; no memory is allocated.
[[nodiscard]] UFFDMM_CXX_API encoded_location encode(const location& place) noexcept;

/// Any thread; takes any bytes. Refuses (the error's `operation` says which):
///     invalid_argument  other than location_bytes bytes
///     corrupt           the check does not fit: damaged, or never a location
///     not_supported     another version or kind
///     invalid_argument  a field that no location has: an offset that is not a multiple of
///                       page_size or past 2^62, a length that is not page_size, generation 0, no
///                       store, reserved bytes that are not 0
[[nodiscard]] UFFDMM_CXX_API result<location>
decode_location(std::span<const std::byte> bytes) noexcept;

} // namespace uffdmm
