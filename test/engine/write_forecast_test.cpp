// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/engine/write_forecast.hpp"

#include "support/catch.hpp"

namespace {

using namespace uffdmm;

/// How many of so many pages stay clean.
unsigned protected_of(write_forecast& forecast, unsigned pages, page_entry entry = {}) {
    unsigned n = 0;
    for (unsigned i = 0; i < pages; ++i) {
        page_entry page = entry;
        n += forecast.stays_clean(page) ? 1 : 0;
    }
    return n;
}

TEST_CASE("write_forecast: pages stay clean as long as few of them are written") {
    write_forecast forecast;
    CHECK(protected_of(forecast, 100) == 100);
    for (int i = 0; i < 400; ++i) {
        i % 5 == 0 ? forecast.was_written() : forecast.left_clean();
        REQUIRE(protected_of(forecast, 1) == 1);
    }
}

TEST_CASE("write_forecast: where many are written, one in sixteen finds out when that ends") {
    write_forecast forecast;
    for (int i = 0; i < 400; ++i)
        i % 2 == 0 ? forecast.was_written() : forecast.left_clean();
    CHECK(protected_of(forecast, 160) == 10);
    for (int i = 0; i < 200; ++i)
        forecast.left_clean();
    CHECK(protected_of(forecast, 100) == 100);
}

TEST_CASE("write_forecast: a page that was written soon gets its chance as well, and only then") {
    write_forecast forecast;
    page_entry prone;
    prone.set(page_flag::write_prone);
    unsigned tries = 1;
    while (!forecast.stays_clean(prone)) {
        REQUIRE(prone.has(page_flag::write_prone));
        ++tries;
    }
    CHECK(tries == 16);
    CHECK_FALSE(prone.has(page_flag::write_prone));
}

TEST_CASE("write_forecast: what a one-pass reader asks for stays clean whatever was written") {
    write_forecast forecast;
    for (int i = 0; i < 400; ++i)
        forecast.was_written();
    page_entry passing;
    passing.set(page_flag::passing);
    passing.set(page_flag::write_prone);
    CHECK(protected_of(forecast, 100, passing) == 100);
}

} // namespace
