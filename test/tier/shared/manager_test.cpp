// SPDX-License-Identifier: BSD-3-Clause

/// Managers on the real kernel whose pages are in a shared store.

#include "support/managed_world.hpp"
#include "tier/shared/shared_rig.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

manager_config shared_manager(const std::string& path) {
    (void)probe();
    file_tier_config file = shared_config(path, 128 * mib);
    manager_config config;
    config.limit = 8 * mib;
    config.tiers = {file};
    return config;
}

region_config region_of(byte_count size, unsigned shards) {
    region_config config;
    config.size = size;
    config.shards = shards;
    return config;
}

} // namespace

TEST_CASE("shared store: two managers in one store lose no byte", "[kernel]") {
    temporary_directory directory;
    const std::string path = directory.file("store");
    {
        manager a(shared_manager(path));
        manager b(shared_manager(path));
        region& first = a.add_region(region_of(32 * mib, 2));
        region& second = b.add_region(region_of(24 * mib, 1));
        for (std::uint64_t version = 1; version <= 3; ++version) {
            stamp_all(first, version);
            stamp_all(second, version + 100);
            CHECK(wrong_pages(first, version) == 0);
            CHECK(wrong_pages(second, version + 100) == 0);
        }
        CHECK(a.statistics().tiers.at(1).writes > 0);
        CHECK(b.statistics().tiers.at(1).writes > 0);
    }
    require_all_free(path); // their ends have given everything back
}
