// SPDX-License-Identifier: BSD-3-Clause

/// The limit is a promise: what the library counts, and what an outside observer sees.

#include "support/managed_world.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

manager_config config_of(byte_count limit) {
    (void)probe();
    manager_config config;
    config.limit = limit;
    ram_tier_config ram;
    ram.size = limit / 4;
    file_tier_config file;
    file.path = "/var/tmp";
    file.size = 256 * mib;
    config.tiers = {ram, file};
    return config;
}

/// What the limit may be exceeded by.
byte_count tolerance(byte_count limit) {
    return limit / 50;
}
/// Pools that grow with use are charged once they have grown, a step at a time.
constexpr byte_count pool_growth = 256 << 10;
/// What else the process takes meanwhile: stacks, the allocator.
constexpr byte_count elsewhere = 2 * mib;

} // namespace

TEST_CASE("limit: neither the library's own count nor the kernel's exceeds it") {
    const auto kind = GENERATE(backing::private_anonymous, backing::shared_memory);
    const byte_count before = resident_set();
    manager m(config_of(48 * mib));
    region_config rc;
    rc.size = 160 * mib;
    rc.kind = kind;
    region& r = m.add_region(rc);
    byte_count peak_rss = 0;
    for (std::uint64_t i = 0; i < pages_in(r); ++i) {
        stamp(page_of(r, i), i, 1);
        if (i % 64 == 0)
            peak_rss = std::max(peak_rss, resident_set());
    }
    for (std::uint64_t i = 0; i < pages_in(r); i += 3) {
        REQUIRE(stamp_holds(page_of(r, i), i, 1));
        if (i % 64 == 0)
            peak_rss = std::max(peak_rss, resident_set());
    }
    const stats s = m.statistics();
    CHECK(s.peak_host_memory_bytes <= m.limit() + tolerance(m.limit()));
    if (!sanitized)
        CHECK(peak_rss - before <= m.limit() + tolerance(m.limit()) + elsewhere);
    CHECK(s.page_table_bytes == pages_in(r) * 16);
    CHECK(s.metadata_bytes >= s.page_table_bytes);
}

TEST_CASE("limit: it can be lowered and raised while the guest runs") {
    manager m(config_of(64 * mib));
    region_config rc;
    rc.size = 96 * mib;
    rc.shards = 2;
    region& r = m.add_region(rc);
    stamp_all(r, 1);
    for (const byte_count limit : {48 * mib, 72 * mib, 56 * mib, 100 * mib, 40 * mib}) {
        INFO("limit " << limit / mib << " MiB");
        const result<void> changed = m.set_limit(limit);
        INFO(changed.failure().operation);
        REQUIRE(changed.ok());
        CHECK(m.limit() == limit);
        CHECK(m.statistics().host_memory_bytes <= limit + pool_growth);
        for (std::uint64_t i = 0; i < pages_in(r); i += 7)
            REQUIRE(stamp_holds(page_of(r, i), i, 1));
        CHECK(m.statistics().host_memory_bytes <= limit + tolerance(limit));
    }
    CHECK(wrong_pages(r, 1) == 0);
}

TEST_CASE("limit: one that memory cannot be brought below is refused and stays as it was") {
    manager m(config_of(64 * mib));
    region_config rc;
    rc.size = 96 * mib;
    region& r = m.add_region(rc);
    stamp_all(r, 1);
    REQUIRE(r.pin(0, 16 * mib).ok());
    CHECK(m.set_limit(12 * mib).code() == errc::limit_too_small);
    CHECK(m.limit() == 64 * mib);
    CHECK(m.set_limit(mib).code() == errc::invalid_argument);
    CHECK(r.unpin(0, 16 * mib).ok());
    CHECK(wrong_pages(r, 1) == 0);
}
