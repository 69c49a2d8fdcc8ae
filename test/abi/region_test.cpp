// SPDX-License-Identifier: BSD-3-Clause
#include <functional>
#include <sys/mman.h>
#include <vector>

#include "c_world.hpp"

using namespace uffdmm::test;

namespace {

/// Every call that takes a range of a region.
struct range_call {
    const char* name;
    std::function<int(uffdmm_region*, uint64_t, uint64_t)> call;
};

const range_call range_calls[] = {
    {"uffdmm_region_discard", uffdmm_region_discard},
    {"uffdmm_region_pin", uffdmm_region_pin},
    {"uffdmm_region_unpin", uffdmm_region_unpin},
    {"uffdmm_region_prefetch", uffdmm_region_prefetch},
    {"uffdmm_region_evict",
     [](auto* r, auto offset, auto length) {
         return uffdmm_region_evict(r, offset, length, nullptr);
     }},
    {"uffdmm_region_query",
     [](auto* r, auto offset, auto length) {
         return uffdmm_region_query(
             r, offset, length, [](void*, const uffdmm_run*) { return 0; }, nullptr);
     }},
};

std::vector<uffdmm_run> runs_of(uffdmm_region* region, uint64_t offset, uint64_t length) {
    std::vector<uffdmm_run> runs;
    const auto collect = [](void* user_data, const uffdmm_run* run) {
        static_cast<std::vector<uffdmm_run>*>(user_data)->push_back(*run);
        return 0;
    };
    REQUIRE(uffdmm_region_query(region, offset, length, collect, &runs) == 0);
    return runs;
}

void* anonymous(uint64_t size) {
    void* p = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(p != MAP_FAILED);
    return p;
}

} // namespace

TEST_CASE("abi: memory beyond the limit keeps its contents") {
    c_world w(16 * mib);
    uffdmm_region* region = w.add(64 * mib);
    fill(region, 1);
    CHECK(wrong_pages(region, 1) == 0);
    CHECK(w.stats().evicted_pages > 0);
}

TEST_CASE("abi: a region has the properties it was made with") {
    c_world w(16 * mib);
    uffdmm_region_options o = region_options(8 * mib);
    o.name = "dimm0";
    o.kind = UFFDMM_SHARED_MEMORY;
    uffdmm_region* region = w.add(o);
    CHECK(uffdmm_region_data(region) != nullptr);
    CHECK(uffdmm_region_size(region) == 8 * mib);
    CHECK(std::string(uffdmm_region_name(region)) == "dimm0");
}

TEST_CASE("abi: a region option that is wrong is refused by name, and nothing stays behind") {
    c_world w(16 * mib);
    uffdmm_region* region = nullptr;
    uffdmm_region_options o = region_options(8 * mib + 1);
    CHECK(uffdmm_manager_add_region(w, &o, &region) == -EINVAL);
    CHECK(says("size"));
    o = region_options(8 * mib);
    o.policy = "lru";
    CHECK(uffdmm_manager_add_region(w, &o, &region) == -EINVAL);
    CHECK(says("policy"));
    CHECK(says("s3fifo"));
    o = region_options(8 * mib);
    o.huge_pages = 2;
    CHECK(uffdmm_manager_add_region(w, &o, &region) == -EINVAL);
    CHECK(says("huge_pages"));
    o = region_options(8 * mib);
    CHECK(uffdmm_manager_add_region(w, &o, nullptr) == -EINVAL);
    CHECK(uffdmm_manager_add_region(w, nullptr, &region) == -EINVAL);
    CHECK(region == nullptr);
    CHECK(uffdmm_manager_region_count(w) == 0);
}

TEST_CASE("abi: one_uffd_per_range: memory that is managed already is refused with EBUSY") {
    c_world w(16 * mib);
    uffdmm_region* first = w.add(8 * mib);
    uffdmm_region_options again = region_options(8 * mib);
    again.address = uffdmm_region_data(first);
    uffdmm_region* region = nullptr;
    CHECK(uffdmm_manager_add_region(w, &again, &region) == -EBUSY);
    CHECK(uffdmm_last_errc() == UFFDMM_BUSY);
    CHECK(uffdmm_manager_region_count(w) == 1);
}

TEST_CASE("abi: regions are listed in the order they were added, without the removed ones") {
    c_world w(32 * mib);
    uffdmm_region* const a = w.add(4 * mib);
    uffdmm_region* const b = w.add(4 * mib);
    uffdmm_region* const c = w.add(4 * mib);
    CHECK(uffdmm_manager_region_count(w) == 3);
    REQUIRE(uffdmm_region_remove(b, UFFDMM_DROP) == 0);
    CHECK(uffdmm_manager_region_count(w) == 2);
    uffdmm_region* region = nullptr;
    REQUIRE(uffdmm_manager_region(w, 0, &region) == 0);
    CHECK(region == a);
    REQUIRE(uffdmm_manager_region(w, 1, &region) == 0);
    CHECK(region == c);
    CHECK(uffdmm_manager_region(w, 2, &region) == -ENOENT);
    CHECK(uffdmm_manager_region(w, 0, nullptr) == -EINVAL);
}

TEST_CASE("abi: calls with a removed region give EBADFD and name its state") {
    c_world w(16 * mib);
    uffdmm_region_options o = region_options(4 * mib);
    o.name = "dimm7";
    uffdmm_region* region = w.add(o);
    REQUIRE(uffdmm_region_remove(region, UFFDMM_DROP) == 0);
    for (const range_call& c : range_calls) {
        INFO(c.name);
        CHECK(c.call(region, 0, page) == -EBADFD);
        CHECK(uffdmm_last_errc() == UFFDMM_WRONG_STATE);
        CHECK(says(std::string(c.name) + ": region \"dimm7\" is removed"));
    }
    CHECK(uffdmm_region_remove(region, UFFDMM_DROP) == -EBADFD);
    uint64_t bytes = 0;
    CHECK(uffdmm_region_missing_bytes(region, &bytes) == -EBADFD);
    CHECK(uffdmm_region_data(region) == nullptr);
    CHECK(uffdmm_region_size(region) == 0);
    CHECK(uffdmm_region_name(region) == nullptr);
}

TEST_CASE("abi: a range that is not whole pages of the region is refused") {
    c_world w(16 * mib);
    uffdmm_region* region = w.add(4 * mib);
    for (const range_call& c : range_calls) {
        INFO(c.name);
        CHECK(c.call(nullptr, 0, page) == -EINVAL);
        CHECK(says("region is NULL"));
        CHECK(c.call(region, 1, page) == -EINVAL);
        CHECK(says("offset: 1 is not a multiple of 4096"));
        CHECK(c.call(region, 0, page + 1) == -EINVAL);
        CHECK(says("length: 4097 is not a multiple of 4096"));
        CHECK(c.call(region, 4 * mib, page) == -EINVAL);
        CHECK(says("beyond the end of region \"ram\"; allowed: up to 4194304"));
        CHECK(c.call(region, page, UINT64_MAX - page + 1) == -EINVAL);
    }
}

TEST_CASE("abi: a query gives runs in order, and ends when its callback wants") {
    c_world w(16 * mib);
    uffdmm_region_options o = region_options(4 * mib);
    o.huge_pages = UFFDMM_HUGE_PAGES_OFF;
    uffdmm_region* region = w.add(o);
    auto* data = static_cast<unsigned char*>(uffdmm_region_data(region));
    data[page] = 1;
    REQUIRE(uffdmm_region_pin(region, page, page) == 0);
    const auto runs = runs_of(region, 0, 3 * page);
    REQUIRE(runs.size() == 3);
    CHECK(runs[0].struct_size == sizeof(uffdmm_run));
    CHECK(runs[0].offset == 0);
    CHECK(runs[0].length == page);
    CHECK(runs[0].state == UFFDMM_UNTOUCHED);
    CHECK(runs[1].state == UFFDMM_RESIDENT);
    CHECK(runs[2].offset == 2 * page);
    const auto stop = [](void*, const uffdmm_run*) { return 17; };
    CHECK(uffdmm_region_query(region, 0, 3 * page, stop, nullptr) == 17);
    CHECK(uffdmm_region_query(region, 0, 3 * page, nullptr, nullptr) == -EINVAL);
    CHECK(says("each_run is NULL"));
}

TEST_CASE("abi: a first touch makes either its page resident, or its huge page") {
    c_world w(16 * mib);
    auto* data = static_cast<unsigned char*>(uffdmm_region_data(w.add(8 * mib)));
    REQUIRE(data != nullptr);
    uffdmm_region* region = nullptr;
    REQUIRE(uffdmm_manager_region(w, 0, &region) == 0);
    const uint64_t block = (2 * mib - reinterpret_cast<uintptr_t>(data) % (2 * mib)) % (2 * mib);
    data[block + page] = 1;
    const auto runs = runs_of(region, block, 2 * mib);
    const uint64_t resident = w.stats().huge_installs == 0 ? page : 2 * mib;
    uint64_t found = 0;
    for (const uffdmm_run& run : runs)
        found += run.state == UFFDMM_RESIDENT ? run.length : 0;
    CHECK(found == resident);
    CHECK(data[block] == 0);
    CHECK(data[block + page] == 1);
}

TEST_CASE("abi: the callback of a query may call the manager") {
    c_world w(16 * mib);
    uffdmm_region* region = w.add(4 * mib);
    const auto discard = [](void* user_data, const uffdmm_run* run) {
        return uffdmm_region_discard(static_cast<uffdmm_region*>(user_data), run->offset,
                                     run->length);
    };
    fill(region, 3);
    CHECK(uffdmm_region_query(region, 0, 4 * mib, discard, region) == 0);
    CHECK(*static_cast<uint64_t*>(uffdmm_region_data(region)) == 0);
}

TEST_CASE("abi: evicted memory is in a tier, and tells which") {
    c_world w(16 * mib);
    uffdmm_region* region = w.add(4 * mib);
    fill(region, 4);
    uint64_t evicted = 0;
    REQUIRE(uffdmm_region_evict(region, 0, mib, &evicted) == 0);
    CHECK(evicted == mib);
    const auto runs = runs_of(region, 0, mib);
    REQUIRE(runs.size() == 1);
    CHECK(runs[0].state == UFFDMM_SWAPPED);
    CHECK(runs[0].tier == 1);
    CHECK(uffdmm_region_prefetch(region, 0, mib) == 0);
    CHECK(wrong_pages(region, 4) == 0);
}

TEST_CASE("abi: discarded memory reads as zeros") {
    c_world w(16 * mib);
    uffdmm_region* region = w.add(4 * mib);
    fill(region, 5);
    REQUIRE(uffdmm_region_discard(region, page, page) == 0);
    const auto* words = static_cast<const uint64_t*>(uffdmm_region_data(region));
    CHECK(words[page / 8] == 0);
    CHECK(words[0] == 5 * 0x9e3779b97f4a7c15u);
}

TEST_CASE("abi: unpinning what is not pinned gives EBADFD") {
    c_world w(16 * mib);
    uffdmm_region* region = w.add(4 * mib);
    CHECK(uffdmm_region_pin(region, 0, page) == 0);
    CHECK(uffdmm_region_pin(region, 0, page) == 0);
    CHECK(uffdmm_region_unpin(region, 0, page) == 0);
    CHECK(uffdmm_region_unpin(region, 0, page) == 0);
    CHECK(uffdmm_region_unpin(region, 0, page) == -EBADFD);
    CHECK(says("as many unpins of a page as pins"));
}

TEST_CASE("abi: pinning more than the limit holds gives EDQUOT, and nothing stays pinned") {
    c_world w(16 * mib);
    uffdmm_region* region = w.add(64 * mib);
    CHECK(uffdmm_region_pin(region, 0, 64 * mib) == -EDQUOT);
    CHECK(says("offset 0, length 67108864"));
    CHECK(w.stats().pinned_pages == 0);
}

TEST_CASE("abi: removal that would exceed the limit is refused and tells by how much") {
    c_world w(16 * mib);
    uffdmm_region* region = w.add(64 * mib);
    fill(region, 6);
    CHECK(uffdmm_region_remove(region, 99) == -EINVAL);
    CHECK(says("UFFDMM_DROP (2)"));
    uint64_t bytes = 0;
    CHECK(uffdmm_region_missing_bytes(region, nullptr) == -EINVAL);
    REQUIRE(uffdmm_region_missing_bytes(region, &bytes) == 0);
    CHECK(bytes > 32 * mib);
    CHECK(uffdmm_region_remove(region, UFFDMM_KEEP) == -EDQUOT);
    CHECK(says("bytes are short"));
    CHECK(uffdmm_manager_region_count(w) == 1);
    CHECK(wrong_pages(region, 6) == 0);
}

TEST_CASE("abi: adopted memory keeps its contents through removal") {
    const uint64_t size = 32 * mib;
    void* const memory = anonymous(size);
    {
        c_world w(16 * mib);
        uffdmm_region_options o = region_options(size);
        o.address = memory;
        uffdmm_region* region = w.add(o);
        CHECK(uffdmm_region_data(region) == memory);
        fill(region, 7);
        INFO(last_error());
        REQUIRE(uffdmm_region_remove(region, UFFDMM_KEEP_OVER_LIMIT) == 0);
        CHECK(wrong_pages(memory, size, 7) == 0);
    }
    CHECK(wrong_pages(memory, size, 7) == 0);
    ::munmap(memory, size);
}

TEST_CASE("abi: a state that is none is called unknown") {
    CHECK(std::string(uffdmm_residency_name(UFFDMM_LOST)) == "poisoned");
    CHECK(std::string(uffdmm_residency_name(-1)) == "unknown");
    CHECK(std::string(uffdmm_residency_name(5)) == "unknown");
}
