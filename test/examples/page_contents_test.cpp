// SPDX-License-Identifier: BSD-3-Clause
#include <array>
#include <cstring>
#include <vector>

#include <lz4.h>

#include "overcommit/page_contents.hpp"
#include "overcommit/page_ledger.hpp"
#include "support/catch.hpp"

namespace overcommit {
namespace {

using uffdmm::page_size;
using page = std::array<std::byte, page_size>;

/// page size / size after LZ4, over many pages.
double measured_ratio(const page_contents& contents) {
    constexpr std::uint64_t pages = 200;
    std::vector<char> out(static_cast<std::size_t>(LZ4_compressBound(page_size)));
    double compressed = 0;
    for (std::uint64_t i = 0; i < pages; ++i) {
        page bytes;
        contents.fill(bytes.data(), i, static_cast<std::uint32_t>(1 + i % 3));
        compressed += LZ4_compress_default(reinterpret_cast<const char*>(bytes.data()), out.data(),
                                           page_size, static_cast<int>(out.size()));
    }
    return static_cast<double>(pages * page_size) / compressed;
}

TEST_CASE("overcommit: pages compress with LZ4 as asked", "[overcommit]") {
    for (double ratio : {1.0, 1.1, 1.5, 2.0, 2.7, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 20.0}) {
        const double measured = measured_ratio(page_contents({1, ratio, 0}));
        INFO("asked " << ratio << ", measured " << measured);
        CHECK(measured == Approx(ratio).epsilon(0.05));
    }
}

TEST_CASE("overcommit: a page is recognised, and only as what it is", "[overcommit]") {
    for (unsigned same_filled_percent : {0u, 100u}) {
        const page_contents contents({7, 2.0, same_filled_percent});
        page bytes;
        contents.fill(bytes.data(), 42, 3);
        CHECK(contents.verify(bytes.data(), 42, 3) == page_verdict::good);
        CHECK(contents.verify(bytes.data(), 42, 4) == page_verdict::stale);
        CHECK(contents.verify(bytes.data(), 43, 3) != page_verdict::good);
        CHECK(page_contents({8, 2.0, same_filled_percent}).verify(bytes.data(), 42, 3) !=
              page_verdict::good);
    }
}

TEST_CASE("overcommit: another page's contents are called foreign", "[overcommit]") {
    const page_contents contents({7, 2.0, 0});
    page bytes;
    contents.fill(bytes.data(), 42, 3);
    CHECK(contents.verify(bytes.data(), 43, 3) == page_verdict::foreign);
}

TEST_CASE("overcommit: one wrong bit anywhere in a page is found", "[overcommit]") {
    for (unsigned same_filled_percent : {0u, 100u}) {
        const page_contents contents({1, 3.0, same_filled_percent});
        page bytes;
        contents.fill(bytes.data(), 5, 1);
        for (std::size_t bit = 0; bit < 8 * page_size; bit += 7) {
            bytes[bit / 8] ^= std::byte{1} << (bit % 8);
            REQUIRE(contents.verify(bytes.data(), 5, 1) != page_verdict::good);
            bytes[bit / 8] ^= std::byte{1} << (bit % 8);
        }
        CHECK(contents.verify(bytes.data(), 5, 1) == page_verdict::good);
    }
}

TEST_CASE("overcommit: half of a newer version is found", "[overcommit]") {
    const page_contents contents({1, 2.0, 0});
    page older;
    page newer;
    contents.fill(older.data(), 5, 1);
    contents.fill(newer.data(), 5, 2);
    std::memcpy(older.data(), newer.data(), page_size / 2);
    CHECK(contents.verify(older.data(), 5, 2) == page_verdict::wrong_bytes);
}

TEST_CASE("overcommit: lost contents and contents that should be gone are told", "[overcommit]") {
    for (unsigned same_filled_percent : {0u, 100u}) {
        const page_contents contents({1, 2.0, same_filled_percent});
        page bytes{};
        CHECK(contents.verify(bytes.data(), 5, 1) == page_verdict::zeros);
        CHECK(page_contents::verify_zeros(bytes.data()) == page_verdict::good);
        contents.fill(bytes.data(), 5, 1);
        CHECK(page_contents::verify_zeros(bytes.data()) == page_verdict::not_zeros);
    }
}

TEST_CASE("overcommit: same-filled pages are one repeated word, in the share asked for",
          "[overcommit]") {
    const page_contents contents({1, 2.0, 30});
    unsigned same_filled = 0;
    for (std::uint64_t i = 0; i < 2000; ++i) {
        page bytes;
        contents.fill(bytes.data(), i, 1);
        const bool repeats = std::memcmp(bytes.data(), bytes.data() + 8, page_size - 8) == 0;
        REQUIRE(repeats == contents.is_same_filled(i, 1));
        same_filled += repeats ? 1 : 0;
    }
    CHECK(same_filled > 500);
    CHECK(same_filled < 700);
}

TEST_CASE("overcommit: the ledger keeps what it was told about each page", "[overcommit]") {
    page_ledger ledger(3);
    CHECK(ledger.lock(1) == page_record{0, true, false});
    ledger.unlock(1, {12345, false, true});
    CHECK(ledger.lock(1) == page_record{12345, false, true});
    ledger.unlock(1, {12346, true, true});
    CHECK(ledger.lock(0) == page_record{0, true, false});
    CHECK(ledger.corrupt_pages() == 1);
}

} // namespace
} // namespace overcommit
