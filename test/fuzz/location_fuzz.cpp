// SPDX-License-Identifier: BSD-3-Clause

/// Any bytes are either refused with a reason or are a location, or a volume's name, that is
/// encoded to the same bytes again. The check hides the fields from a fuzzer, so it is mended first
/// where the first byte of the input says so.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "uffdmm/check.hpp"
#include "uffdmm/location.hpp"
#include "uffdmm/shared_store.hpp"

namespace {

using namespace uffdmm;

void mend_check(std::vector<std::byte>& bytes) {
    std::uint32_t hash = 0x811c'9dc5;
    for (std::size_t i = 0; i < location_bytes - 4; ++i)
        hash = (hash ^ std::to_integer<std::uint32_t>(bytes[i])) * 0x0100'0193;
    for (std::size_t i = 0; i < 4; ++i)
        bytes[location_bytes - 4 + i] = static_cast<std::byte>(hash >> (8 * i));
}

void try_all(const std::vector<std::byte>& bytes) {
    if (const auto place = decode_location(bytes)) {
        const encoded_location again = encode(place.value());
        UFFDMM_CHECK(std::ranges::equal(again, bytes), "a location has one wire form");
    } else {
        UFFDMM_CHECK(*place.failure().operation != '\0', "a refusal says why");
    }
    if (const auto name = decode_volume_name(bytes)) {
        const encoded_volume_name again = encode(name.value());
        UFFDMM_CHECK(std::ranges::equal(again, bytes), "a volume's name has one wire form");
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0)
        return 0;
    const auto* const first = reinterpret_cast<const std::byte*>(data);
    std::vector<std::byte> bytes(first + 1, first + size);
    if (data[0] % 2 == 1 && bytes.size() >= location_bytes)
        mend_check(bytes);
    try_all(bytes);
    return 0;
}
