// SPDX-License-Identifier: BSD-3-Clause

/// A migration through nothing but uffdmm.h.

#include <cstdio>
#include <cstring>
#include <vector>

#include <unistd.h>

#include "c_world.hpp"

using namespace uffdmm::test;

namespace {

uffdmm_page page_at(uffdmm_migration_source* source, uint64_t offset) {
    uffdmm_page p;
    p.struct_size = sizeof p;
    INFO(last_error());
    REQUIRE(uffdmm_migration_source_page(source, offset, &p) == 0);
    return p;
}

std::vector<uffdmm_page_run> walk(uffdmm_migration_source* source, uint64_t length) {
    std::vector<uffdmm_page_run> runs;
    const auto collect = [](void* user_data, const uffdmm_page_run* run) {
        static_cast<std::vector<uffdmm_page_run>*>(user_data)->push_back(*run);
        return 0;
    };
    REQUIRE(uffdmm_migration_source_walk(source, 0, length, collect, &runs) == 0);
    return runs;
}

} // namespace

TEST_CASE("abi: a region is moved to another manager page by page") {
    c_world from(12 * mib);
    c_world to(12 * mib);
    uffdmm_region* a = from.add(24 * mib);
    uffdmm_region* b = to.add(24 * mib);
    fill(a, 7);
    REQUIRE(uffdmm_region_discard(a, 0, mib) == 0);
    std::memset(static_cast<char*>(uffdmm_region_data(a)) + mib, 5, page);
    REQUIRE(uffdmm_region_evict(a, 0, 2 * mib, nullptr) == 0);

    uffdmm_migration_source* source = nullptr;
    uffdmm_migration_target* target = nullptr;
    REQUIRE(uffdmm_migration_source_begin(a, nullptr, &source) == 0);
    REQUIRE(uffdmm_migration_target_begin(b, &target) == 0);
    uint64_t kinds[7] = {};
    for (uint64_t at = 0; at < 24 * mib; at += page) {
        const uffdmm_page p = page_at(source, at);
        ++kinds[p.kind];
        const char* guest = static_cast<const char*>(uffdmm_region_data(a)) + at;
        std::vector<uint64_t> filled(page / 8, p.pattern);
        switch (p.kind) {
        case UFFDMM_PAGE_UNTOUCHED:
            REQUIRE(uffdmm_migration_target_zero(target, at, page) == 0);
            break;
        case UFFDMM_PAGE_SAME_FILLED:
            REQUIRE(uffdmm_migration_target_put(target, at, page, filled.data(), 1) == 0);
            break;
        case UFFDMM_PAGE_RESIDENT:
            REQUIRE(uffdmm_migration_target_put(target, at, page, guest, 0) == 0);
            break;
        default:
            REQUIRE(p.kind == UFFDMM_PAGE_SWAPPED);
            REQUIRE(p.contents != nullptr);
            REQUIRE(p.tier <= 1);
            REQUIRE(uffdmm_migration_target_put(target, at, page, p.contents, 1) == 0);
        }
    }
    REQUIRE(uffdmm_migration_target_flush(target) == 0);
    CHECK(kinds[UFFDMM_PAGE_UNTOUCHED] >= mib / page);
    CHECK(kinds[UFFDMM_PAGE_SAME_FILLED] == 1);
    CHECK(kinds[UFFDMM_PAGE_RESIDENT] > 500);
    CHECK(kinds[UFFDMM_PAGE_SWAPPED] > 500);
    CHECK(from.stats().migration_reads >= kinds[UFFDMM_PAGE_SWAPPED]);
    uffdmm_migration_target_end(target);
    uffdmm_migration_source_end(source, 1);

    CHECK(std::memcmp(uffdmm_region_data(a), uffdmm_region_data(b), 24 * mib) == 0);
}

TEST_CASE("abi: a source's runs cover the range, and their kinds have names") {
    c_world w(12 * mib);
    uffdmm_region_options of_region = region_options(8 * mib);
    of_region.prefetch = "off";
    uffdmm_region* region = w.add(of_region);
    std::memset(uffdmm_region_data(region), 9, 2 * mib);
    uffdmm_migration_source* source = nullptr;
    REQUIRE(uffdmm_migration_source_begin(region, nullptr, &source) == 0);
    const auto runs = walk(source, 8 * mib);
    REQUIRE(runs.size() == 2);
    CHECK(runs[0].length == 2 * mib);
    CHECK(runs[0].kind == UFFDMM_PAGE_RESIDENT);
    CHECK(runs[1].kind == UFFDMM_PAGE_UNTOUCHED);
    CHECK(runs[1].offset == 2 * mib);
    CHECK(std::string(uffdmm_page_kind_name(runs[0].kind)) == "resident");
    CHECK(std::string(uffdmm_page_kind_name(UFFDMM_PAGE_UNREADABLE)) == "unreadable");
    CHECK(std::string(uffdmm_page_kind_name(7)) == "unknown");
    CHECK(std::string(uffdmm_page_kind_name(-1)) == "unknown");
    const auto stop = [](void*, const uffdmm_page_run*) { return 42; };
    CHECK(uffdmm_migration_source_walk(source, 0, 8 * mib, stop, nullptr) == 42);
    uffdmm_migration_source_end(source, 0);
}

TEST_CASE("abi: a migration's calls name what is wrong and what is allowed") {
    c_world w(12 * mib);
    uffdmm_region* region = w.add(8 * mib);
    uffdmm_migration_source* source = nullptr;
    uffdmm_migration_source* second = nullptr;
    uffdmm_migration_target* target = nullptr;
    uffdmm_page p;
    p.struct_size = sizeof p;
    CHECK(uffdmm_migration_source_begin(nullptr, nullptr, &source) == -EINVAL);
    CHECK(says("region"));
    uffdmm_source_options options{sizeof options, 2, 0};
    CHECK(uffdmm_migration_source_begin(region, &options, &source) == -EINVAL);
    CHECK(says("options.locations: 2 is not allowed; allowed: 0, 1"));
    REQUIRE(uffdmm_migration_source_begin(region, nullptr, &source) == 0);
    CHECK(uffdmm_migration_source_begin(region, nullptr, &second) == -EBUSY);
    CHECK(says("one source"));
    CHECK(uffdmm_migration_source_page(source, 12, &p) == -EINVAL);
    CHECK(says("offset 12"));
    CHECK(says("whole pages"));
    CHECK(uffdmm_migration_source_page(source, 8 * mib, &p) == -EINVAL);
    CHECK(uffdmm_migration_source_page(source, 0, nullptr) == -EINVAL);
    CHECK(uffdmm_region_remove(region, UFFDMM_DROP) == -EBUSY);
    CHECK(says("migration"));

    REQUIRE(uffdmm_migration_target_begin(region, &target) == 0);
    std::vector<char> contents(page);
    CHECK(uffdmm_migration_target_put(target, 0, page, contents.data(), 2) == -EINVAL);
    CHECK(says("cold"));
    CHECK(uffdmm_migration_target_put(target, 0, page, nullptr, 0) == -EINVAL);
    CHECK(uffdmm_migration_target_put(target, 0, 17, contents.data(), 0) == -EINVAL);
    CHECK(uffdmm_migration_target_zero(target, 8 * mib, page) == -EINVAL);
    CHECK(uffdmm_migration_target_adopt(target, 0, contents.data()) == -EBADMSG);
    uffdmm_migration_source_end(source, 0);
    uffdmm_migration_target_end(target);
    CHECK(uffdmm_region_remove(region, UFFDMM_DROP) == 0);
    CHECK(uffdmm_migration_source_begin(region, nullptr, &source) == -EBADFD);
    uffdmm_migration_source_end(nullptr, 0);
    uffdmm_migration_target_end(nullptr);
}

TEST_CASE("abi: a region is saved, and comes up in another manager") {
    const std::string path = "/var/tmp/uffdmm-abi-" + std::to_string(::getpid());
    c_world from(12 * mib);
    c_world to(12 * mib);
    uffdmm_region* a = from.add(24 * mib);
    uffdmm_region* b = to.add(24 * mib);
    fill(a, 3);
    REQUIRE(uffdmm_region_save(a, path.c_str(), 0) == 0);
    uffdmm_restoration* restoration = nullptr;
    REQUIRE(uffdmm_region_restore(b, path.c_str(), &restoration) == 0);
    CHECK(wrong_pages(b, 3) == 0);
    CHECK(uffdmm_restoration_wait(restoration) == 0);
    uffdmm_restoration_free(restoration);
    uffdmm_restoration_free(nullptr);
    CHECK(uffdmm_region_restore(b, path.c_str(), &restoration) == -EBADFD);
    CHECK(says("not untouched"));
    CHECK(uffdmm_region_restore(b, "/nonexistent", &restoration) == -ENOENT);
    CHECK(uffdmm_region_save(a, path.c_str(), 2) == -EINVAL);
    CHECK(uffdmm_region_save(a, path.c_str(), 1) == -EOPNOTSUPP);
    char name[UFFDMM_VOLUME_NAME_SIZE];
    CHECK(uffdmm_region_store_volume(a, name) == -EOPNOTSUPP);
    CHECK(says("shared"));
    CHECK(uffdmm_region_store_detach(a) == -EOPNOTSUPP);
    std::remove(path.c_str());
}

TEST_CASE("abi: a region moves with its locations from one manager to another") {
    const std::string path = "/var/tmp/uffdmm-abi-store-" + std::to_string(::getpid());
    uffdmm_tier_options tier;
    REQUIRE(uffdmm_tier_options_init(&tier, sizeof tier, UFFDMM_TIER_FILE) == 0);
    tier.path = path.c_str();
    tier.size = 256 * mib;
    tier.shared = 1;
    tier.preallocate = 0;
    uffdmm_manager_options options = manager_options(8 * mib);
    options.tiers = &tier;
    options.tier_count = 1;
    {
        c_world from(options);
        c_world to(options);
        uffdmm_region* a = from.add(16 * mib);
        uffdmm_region* b = to.add(16 * mib);
        fill(a, 11);
        REQUIRE(uffdmm_region_evict(a, 0, 16 * mib, nullptr) == 0);
        char name[UFFDMM_VOLUME_NAME_SIZE];
        const char nonce[UFFDMM_NONCE_SIZE] = "fifteen bytes..";
        REQUIRE(uffdmm_region_store_volume(a, name) == 0);
        REQUIRE(uffdmm_region_store_attach(b, name) == 0);
        uffdmm_source_options with_locations{sizeof with_locations, 1, 0};
        uffdmm_migration_source* source = nullptr;
        uffdmm_migration_target* target = nullptr;
        REQUIRE(uffdmm_migration_source_begin(a, &with_locations, &source) == 0);
        REQUIRE(uffdmm_migration_target_begin(b, &target) == 0);
        for (uint64_t at = 0; at < 16 * mib; at += page) {
            const uffdmm_page p = page_at(source, at);
            REQUIRE(p.kind == UFFDMM_PAGE_LOCATED);
            REQUIRE(uffdmm_migration_target_adopt(target, at, p.location) == 0);
        }
        REQUIRE(uffdmm_migration_target_flush(target) == 0);
        REQUIRE(uffdmm_region_store_offer(a, nonce, 0) == 0);
        int handover = -1;
        REQUIRE(uffdmm_region_store_outcome(a, &handover) == 0);
        CHECK(handover == UFFDMM_HANDOVER_OFFERED);
        REQUIRE(uffdmm_region_store_accept(b, nonce) == 0);
        CHECK(uffdmm_region_store_cancel(a) == -EBADFD);
        REQUIRE(uffdmm_region_store_outcome(a, &handover) == 0);
        CHECK(handover == UFFDMM_HANDOVER_GIVEN);
        uffdmm_migration_target_end(target);
        uffdmm_migration_source_end(source, 1);
        CHECK(wrong_pages(b, 11) == 0);
    }
    std::remove(path.c_str());
}
