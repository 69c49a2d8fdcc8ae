// SPDX-License-Identifier: BSD-3-Clause
#include "config/units.hpp"

#include "support/catch.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

TEST_CASE("size: a number, or one with K, M, G or T, is bytes") {
    CHECK(parse_size("0", "k") == 0);
    CHECK(parse_size("007", "k") == 7);
    CHECK(parse_size("4096", "k") == 4096);
    CHECK(parse_size("1K", "k") == 1024);
    CHECK(parse_size("256M", "k") == byte_count{256} << 20);
    CHECK(parse_size("3G", "k") == byte_count{3} << 30);
    CHECK(parse_size("16777215T", "k") == byte_count{16777215} << 40);
    CHECK(parse_size("18446744073709551615", "k") == UINT64_MAX);
}

TEST_CASE("size: everything else is refused, overflow included") {
    for (const char* text : {"",
                             " ",
                             "M",
                             "1.5G",
                             "1,5G",
                             "0x100",
                             "-1",
                             "-1M",
                             "+1",
                             " 1",
                             "1 ",
                             "1 M",
                             "1MB",
                             "1MiB",
                             "1m",
                             "1k",
                             "1P",
                             "1e6",
                             "M1",
                             "18446744073709551616",
                             "18014398509481984K",
                             "16777216T",
                             "99999999999999999999T",
                             "\xc2\xbd",
                             "1\n"}) {
        INFO(text);
        CHECK_THROWS_WITH(parse_size(text, "tiers[0].size"),
                          Catch::StartsWith("tiers[0].size: \"") &&
                              Catch::Contains("K, M, G or T (powers of 1024)"));
    }
    CHECK_THROWS_AS(parse_size(std::string_view("1\0", 2), "k"), setup_error);
}

TEST_CASE("size: text is the largest unit that is exact, and parses back") {
    CHECK(size_text(0) == "0");
    CHECK(size_text(1023) == "1023");
    CHECK(size_text(1024) == "1K");
    CHECK(size_text((byte_count{1} << 30) + (byte_count{1} << 20)) == "1025M");
    for (const byte_count bytes : {byte_count{1}, byte_count{1} << 63, UINT64_MAX})
        CHECK(parse_size(size_text(bytes), "k") == bytes);
}

TEST_CASE("duration: a number with a unit") {
    using namespace std::chrono_literals;
    CHECK(parse_duration("0s", "k") == 0s);
    CHECK(parse_duration("7ns", "k") == 7ns);
    CHECK(parse_duration("20us", "k") == 20us);
    CHECK(parse_duration("2ms", "k") == 2ms);
    CHECK(parse_duration("9223372036s", "k") == 9223372036s);
    CHECK(duration_text(20us) == "20us");
    CHECK(duration_text(2000us) == "2ms");
    for (const char* text : {"", "20", "us", "20 us", "-20us", "1.5ms", "1m", "1h", "20US",
                             "9223372037s", "9223372036854775808ns"}) {
        INFO(text);
        CHECK_THROWS_WITH(parse_duration(text, "spin"), Catch::StartsWith("spin: \""));
    }
}

} // namespace
} // namespace uffdmm
