// SPDX-License-Identifier: BSD-3-Clause

/// A migration through nothing but uffdmm.h.

#include <cstring>
#include <vector>

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
