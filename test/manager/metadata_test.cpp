// SPDX-License-Identifier: BSD-3-Clause

/// What the library's own data cost: at most 0.5 % of a region of 1 GiB, 20 bytes of each page.

#include <algorithm>

#include "support/catch.hpp"
#include "support/managed_world.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

constexpr byte_count region_size = 1024 * mib;

manager_config both_tiers() {
    manager_config config;
    config.limit = region_size / 4;
    file_tier_config file;
    file.path = "/var/tmp";
    file.size = 2 * region_size;
    ram_tier_config ram;
    ram.size = 16 * mib; // so that most pages end in the file, whose records are what grows
    config.tiers = {ram, file};
    return config;
}

TEST_CASE("metadata: at most 0.5 % of a 1 GiB region with compressed RAM in front of a file") {
    manager m(both_tiers());
    region_config rc;
    rc.size = region_size;
    rc.shards = GENERATE(1u, 4u);
    (void)m.add_region(rc);
    const stats s = m.statistics();
    CHECK(s.page_table_bytes == 16 * (region_size / page_size));
    CHECK(s.metadata_bytes <= region_size / 200);
}

TEST_CASE("metadata: at most 0.5 % of it too when all of the region was in use") {
    manager m(both_tiers());
    region_config rc;
    rc.size = region_size;
    region& r = m.add_region(rc);
    byte_count most = 0;
    for (std::uint64_t i = 0; i < pages_in(r); ++i) {
        stamp(page_of(r, i), i, 1);
        if (i % 256 == 0)
            most = std::max(most, m.statistics().metadata_bytes);
    }
    const stats s = m.statistics();
    CHECK(s.tiers.back().pages > (region_size - 2 * m.limit()) / page_size); // half of them
    CHECK(most <= region_size / 200);
}

} // namespace
