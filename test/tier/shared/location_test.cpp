// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/location.hpp"

#include <cstring>
#include <string>

#include "support/catch.hpp"
#include "uffdmm/shared_store.hpp"
#include "uffdmm/tier.hpp"

namespace {

using namespace uffdmm;

location some_location() {
    location place;
    for (std::size_t i = 0; i < place.store.bytes.size(); ++i)
        place.store.bytes[i] = static_cast<std::uint8_t>(0xa0 + i);
    place.offset = 0x1122'3344'5000;
    place.generation = 0x0102'0304'0506'0708;
    place.checksum = 0xdead'beef;
    return place;
}

/// The wire form with a byte changed, and its check mended.
encoded_location with(std::size_t at, unsigned value) {
    encoded_location bytes = encode(some_location());
    bytes[at] = static_cast<std::byte>(value);
    std::uint32_t hash = 0x811c'9dc5;
    for (std::size_t i = 0; i < location_bytes - 4; ++i)
        hash = (hash ^ std::to_integer<std::uint32_t>(bytes[i])) * 0x0100'0193;
    for (std::size_t i = 0; i < 4; ++i)
        bytes[location_bytes - 4 + i] = static_cast<std::byte>(hash >> (8 * i));
    return bytes;
}

void require_refused(std::span<const std::byte> bytes, errc code, const std::string& word) {
    const auto place = decode_location(bytes);
    REQUIRE_FALSE(place.ok());
    CHECK(place.code() == code);
    CHECK_THAT(std::string(place.failure().operation), Catch::Contains(word));
}

class plain_tier final : public swap_tier {
  public:
    plain_tier() : swap_tier({}) {}

  private:
    void do_store(std::span<store_request* const>, tier_client&) noexcept override {}
    void do_load(std::span<load_request* const>, tier_client&) noexcept override {}
    void do_release(slot_id) noexcept override {}
    [[nodiscard]] tier_usage do_usage() const noexcept override { return {}; }
};

} // namespace

TEST_CASE("location: is sent in at most 56 bytes and read back unchanged") {
    STATIC_REQUIRE(location_bytes <= 56);
    for (const location_kind kind :
         {location_kind::shared_file, location_kind::network_block_device}) {
        location place = some_location();
        place.kind = kind;
        const auto read = decode_location(encode(place));
        REQUIRE(read.ok());
        CHECK(read.value() == place);
    }
}

TEST_CASE("location: the wire form is little-endian and as documented") {
    const encoded_location bytes = encode(some_location());
    const unsigned char wanted[] = {
        1,    1,    0,    0,    0x00, 0x10, 0,    0,    0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6,
        0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0x00, 0x50, 0x44, 0x33, 0x22, 0x11,
        0,    0,    0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, 0xef, 0xbe, 0xad, 0xde,
    };
    REQUIRE(sizeof wanted == location_bytes - 4);
    CHECK(std::memcmp(bytes.data(), wanted, sizeof wanted) == 0);
}

TEST_CASE("location: any damaged bit is noticed") {
    const encoded_location good = encode(some_location());
    for (std::size_t bit = 0; bit < location_bytes * 8; ++bit) {
        encoded_location bad = good;
        bad[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
        CHECK_FALSE(decode_location(bad).ok());
    }
}

TEST_CASE("location: unknown versions and kinds are refused, whatever the rest says") {
    require_refused(with(0, 0), errc::not_supported, "version");
    require_refused(with(0, 2), errc::not_supported, "version");
    require_refused(with(1, 0), errc::not_supported, "kind");
    require_refused(with(1, 3), errc::not_supported, "kind");
}

TEST_CASE("location: fields that no location has are refused by name") {
    require_refused(with(2, 1), errc::invalid_argument, "reserved");
    require_refused(with(5, 0x20), errc::invalid_argument, "length");
    require_refused(with(24, 1), errc::invalid_argument, "offset");
    require_refused(with(31, 0x80), errc::invalid_argument, "offset");
    location none = some_location();
    none.store = {};
    require_refused(encode(none), errc::invalid_argument, "store");
    location never = some_location();
    never.generation = 0;
    require_refused(encode(never), errc::invalid_argument, "generation");
    const encoded_location good = encode(some_location());
    require_refused(std::span(good).first(47), errc::invalid_argument, "48");
    require_refused({}, errc::invalid_argument, "48");
}

TEST_CASE("volume name: is read back unchanged, and refused where it is none") {
    const volume_name name{some_location().store, 7, 0x1'0000'0001};
    const encoded_volume_name bytes = encode(name);
    const auto read = decode_volume_name(bytes);
    REQUIRE(read.ok());
    CHECK(read.value() == name);
    for (const std::size_t at : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
        encoded_volume_name bad = bytes;
        bad[at] = std::byte{9};
        CHECK_FALSE(decode_volume_name(bad).ok());
    }
    CHECK_FALSE(decode_volume_name(std::span(bytes).first(31)).ok());
    CHECK_FALSE(decode_volume_name(encode(volume_name{name.store, 7, 0})).ok());
    CHECK_FALSE(decode_volume_name(encode(volume_name{{}, 7, 1})).ok());
}

TEST_CASE("swap_tier: a tier without a shared store says so") {
    plain_tier tier;
    CHECK(tier.shared() == nullptr);
    CHECK(tier.identity().none());
    CHECK(tier.locate({1}).code() == errc::not_supported);
    CHECK(tier.adopt(some_location(), 1).code() == errc::not_supported);
    tier.end_leases();
}
