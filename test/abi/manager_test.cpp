// SPDX-License-Identifier: BSD-3-Clause
#include <cstring>

#include "c_world.hpp"

using namespace uffdmm::test;

namespace {

void count_free(void* user_data) {
    ++*static_cast<int*>(user_data);
}

uffdmm_event_handler counted_handler(int& frees) {
    return {sizeof(uffdmm_event_handler), [](void*, const uffdmm_event*) {}, &frees, count_free};
}

} // namespace

TEST_CASE("abi: a manager needs a limit, and says so") {
    uffdmm_manager* manager = nullptr;
    const uffdmm_manager_options o = manager_options(0);
    CHECK(uffdmm_manager_create(&o, &manager) == -EINVAL);
    CHECK(manager == nullptr);
    CHECK(uffdmm_last_errc() == UFFDMM_INVALID_CONFIG);
    CHECK(says("uffdmm_manager_create: limit"));
    CHECK(says("4M"));
}

TEST_CASE("abi: NULL is refused by the name of the parameter") {
    const uffdmm_manager_options o = manager_options(8 * mib);
    uffdmm_manager* manager = nullptr;
    CHECK(uffdmm_manager_create(nullptr, &manager) == -EINVAL);
    CHECK(says("options is NULL"));
    CHECK(uffdmm_manager_create(&o, nullptr) == -EINVAL);
    CHECK(says("manager is NULL"));
    CHECK(uffdmm_manager_set_limit(nullptr, 8 * mib) == -EINVAL);
    CHECK(uffdmm_manager_wait_idle(nullptr, 1) == -EINVAL);
    uffdmm_region* region = nullptr;
    const uffdmm_region_options r = region_options(mib);
    CHECK(uffdmm_manager_add_region(nullptr, &r, &region) == -EINVAL);
    CHECK(uffdmm_manager_region(nullptr, 0, &region) == -EINVAL);
    CHECK(uffdmm_manager_create_from_json(nullptr, nullptr, nullptr, &manager) == -EINVAL);
    CHECK(says("json is NULL"));
    CHECK(uffdmm_manager_create_from_file(nullptr, nullptr, &manager) == -EINVAL);
    CHECK(says("path is NULL"));
    char* text = nullptr;
    CHECK(uffdmm_kernel_features(nullptr) == -EINVAL);
    CHECK(uffdmm_kernel_features(&text) == 0);
    CHECK(std::strlen(text) > 0);
    uffdmm_free(text);
}

TEST_CASE("abi: NULL handles have no properties and may be ended") {
    CHECK(uffdmm_manager_limit(nullptr) == 0);
    CHECK(uffdmm_manager_region_count(nullptr) == 0);
    CHECK(uffdmm_region_data(nullptr) == nullptr);
    CHECK(uffdmm_region_size(nullptr) == 0);
    CHECK(uffdmm_region_name(nullptr) == nullptr);
    uffdmm_manager_destroy(nullptr);
    uffdmm_snapshot_free(nullptr);
    uffdmm_free(nullptr);
}

TEST_CASE("abi: an option of a newer library gives E2BIG") {
    struct {
        uffdmm_manager_options known;
        uint64_t newer;
    } o{manager_options(8 * mib), 0};
    o.known.struct_size = sizeof o;
    uffdmm_manager* manager = nullptr;
    REQUIRE(uffdmm_manager_create(&o.known, &manager) == 0);
    uffdmm_manager_destroy(manager);
    o.newer = 1;
    CHECK(uffdmm_manager_create(&o.known, &manager) == -E2BIG);
    CHECK(uffdmm_last_errc() == UFFDMM_NOT_SUPPORTED);
    CHECK(says("does not know"));
}

TEST_CASE("abi: user_data of events is freed once, when the manager ends") {
    int frees = 0;
    const uffdmm_event_handler handler = counted_handler(frees);
    uffdmm_manager_options o = manager_options(8 * mib);
    o.on_event = &handler;
    {
        c_world w(o);
        CHECK(frees == 0);
    }
    CHECK(frees == 1);
}

TEST_CASE("abi: user_data is freed once if no manager comes to be") {
    int frees = 0;
    const uffdmm_event_handler handler = counted_handler(frees);
    uffdmm_manager* manager = nullptr;
    uffdmm_manager_options o = manager_options(1); // the library refuses it
    o.on_event = &handler;
    CHECK(uffdmm_manager_create(&o, &manager) == -EINVAL);
    CHECK(frees == 1);
    o.limit = 8 * mib;
    CHECK(uffdmm_manager_create(&o, nullptr) == -EINVAL);
    CHECK(frees == 2);
    CHECK(uffdmm_manager_create_from_json("{", nullptr, &handler, &manager) == -EINVAL);
    CHECK(frees == 3);
    CHECK(uffdmm_manager_create_from_json(nullptr, nullptr, &handler, &manager) == -EINVAL);
    CHECK(frees == 4);
    CHECK(uffdmm_manager_create_from_file("/nonexistent/config", &handler, &manager) == -ENOENT);
    CHECK(frees == 5);
}

TEST_CASE("abi: the limit changes, and one that is too small leaves it") {
    c_world w(32 * mib);
    CHECK(uffdmm_manager_limit(w) == 32 * mib);
    CHECK(uffdmm_manager_set_limit(w, 64 * mib) == 0);
    CHECK(uffdmm_manager_limit(w) == 64 * mib);
    CHECK(uffdmm_manager_set_limit(w, 4096) == -EINVAL);
    CHECK(says("limit: 4096 bytes"));
    CHECK(says("the limit stays at 67108864 bytes"));
    CHECK(uffdmm_manager_limit(w) == 64 * mib);
}

TEST_CASE("abi: lowering the limit below what is pinned is refused with EDQUOT") {
    c_world w(48 * mib);
    uffdmm_region* region = w.add(32 * mib);
    REQUIRE(uffdmm_region_pin(region, 0, 16 * mib) == 0);
    CHECK(uffdmm_manager_set_limit(w, 8 * mib) == -EDQUOT);
    CHECK(uffdmm_last_errc() == UFFDMM_LIMIT_TOO_SMALL);
    CHECK(uffdmm_manager_limit(w) == 48 * mib);
}

TEST_CASE("abi: a manager without work is idle") {
    c_world w(16 * mib);
    uffdmm_region* region = w.add(32 * mib);
    fill(region, 1);
    CHECK(uffdmm_manager_wait_idle(w, UINT64_MAX) == 0);
}

TEST_CASE("abi: JSON makes a manager with its regions") {
    uffdmm_manager* manager = nullptr;
    INFO(last_error());
    REQUIRE(uffdmm_manager_create_from_json(
                R"({"limit": "32M", "regions": [{"size": "64M", "name": "low"},
                                                {"size": "4M", "name": "high"}]})",
                nullptr, nullptr, &manager) == 0);
    CHECK(uffdmm_manager_limit(manager) == 32 * mib);
    REQUIRE(uffdmm_manager_region_count(manager) == 2);
    uffdmm_region* region = nullptr;
    REQUIRE(uffdmm_manager_region(manager, 1, &region) == 0);
    CHECK(std::string(uffdmm_region_name(region)) == "high");
    CHECK(uffdmm_region_size(region) == 4 * mib);
    REQUIRE(uffdmm_manager_region(manager, 0, &region) == 0);
    fill(region, 2);
    CHECK(wrong_pages(region, 2) == 0);
    CHECK(uffdmm_manager_region(manager, 2, &region) == -ENOENT);
    CHECK(says("there is no region 2; allowed: less than 2"));
    uffdmm_manager_destroy(manager);
}

TEST_CASE("abi: wrong JSON is refused by source and key") {
    uffdmm_manager* manager = nullptr;
    const char* json = R"({"limit": "32M", "wokers": 2})";
    CHECK(uffdmm_manager_create_from_json(json, "the monitor", nullptr, &manager) == -EINVAL);
    CHECK(says("the monitor"));
    CHECK(says("wokers"));
    CHECK(says("workers"));
    CHECK(manager == nullptr);
}
