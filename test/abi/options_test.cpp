// SPDX-License-Identifier: BSD-3-Clause
#include "options.hpp"

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "errors.hpp"
#include "support/catch.hpp"

using namespace uffdmm;
using namespace uffdmm::shim;

namespace {

void count_free(void* user_data) {
    ++*static_cast<int*>(user_data);
}

uffdmm_manager_options manager_options() {
    uffdmm_manager_options o;
    REQUIRE(uffdmm_manager_options_init(&o, sizeof o) == 0);
    o.limit = 64 << 20;
    return o;
}

uffdmm_tier_options tier_options(int kind) {
    uffdmm_tier_options o;
    REQUIRE(uffdmm_tier_options_init(&o, sizeof o, kind) == 0);
    return o;
}

uffdmm_region_options region_options() {
    uffdmm_region_options o;
    REQUIRE(uffdmm_region_options_init(&o, sizeof o) == 0);
    o.size = 1 << 20;
    return o;
}

/// Functions that are never called.
uffdmm_tier_ops tier_ops() {
    uffdmm_tier_ops ops{};
    ops.struct_size = sizeof ops;
    ops.flags = UFFDMM_TIER_SYNCHRONOUS_LOAD;
    ops.open = [](void*, const uffdmm_tier_context*, void**) { return 0; };
    ops.store = [](void*, uffdmm_store_request* const*, size_t, uffdmm_tier_client*) {};
    ops.load = [](void*, uffdmm_load_request* const*, size_t, uffdmm_tier_client*) {};
    ops.release = [](void*, uint64_t) {};
    ops.usage = [](void*, uffdmm_tier_usage*) {};
    return ops;
}

/// A manager with one custom tier and an event handler, which count how often they are freed.
struct counted_options {
    counted_options() {
        tier.ops = &ops;
        tier.user_data = &tier_frees;
        tier.free_user_data = count_free;
        manager.tiers = &tier;
        manager.tier_count = 1;
        manager.on_event = &handler;
    }

    uffdmm_tier_ops ops = tier_ops();
    uffdmm_tier_options tier = tier_options(UFFDMM_TIER_CUSTOM);
    int event_frees = 0;
    int tier_frees = 0;
    uffdmm_event_handler handler{sizeof handler, [](void*, const uffdmm_event*) {}, &event_frees,
                                 count_free};
    uffdmm_manager_options manager = manager_options();
};

} // namespace

TEST_CASE("abi: the defaults of a manager are those of C++", "[abi]") {
    const uffdmm_manager_options o = manager_options();
    const manager_config from_c = to_config(&o);
    const manager_config config;
    CHECK(from_c.limit == 64 << 20);
    CHECK(from_c.tiers.empty());
    CHECK(from_c.workers == config.workers);
    CHECK(from_c.staged_percent == config.staged_percent);
    CHECK(from_c.low_watermark_permille == config.low_watermark_permille);
    CHECK(from_c.high_watermark_permille == config.high_watermark_permille);
    CHECK(from_c.spin == config.spin);
    CHECK(from_c.read_retry_time == config.read_retry_time);
    CHECK(from_c.when_full == config.when_full);
    CHECK(from_c.placement == config.placement);
    CHECK_FALSE(from_c.on_event);
    CHECK_NOTHROW(validate(from_c));
}

TEST_CASE("abi: the defaults of a region are those of C++", "[abi]") {
    const uffdmm_region_options o = region_options();
    const region_config from_c = shim::to_config(&o);
    const region_config config;
    CHECK(from_c.name == config.name);
    CHECK(from_c.kind == config.kind);
    CHECK(from_c.address == config.address);
    CHECK(from_c.fd == config.fd);
    CHECK(from_c.fd_offset == config.fd_offset);
    CHECK(from_c.shards == config.shards);
    CHECK(from_c.policy == config.policy);
    CHECK(from_c.prefetch == config.prefetch);
    CHECK(from_c.prefetch_window == config.prefetch_window);
    CHECK(from_c.remove_events == config.remove_events);
    CHECK(from_c.huge_pages == config.huge_pages);
    CHECK_NOTHROW(validate(from_c));
}

TEST_CASE("abi: the defaults of tiers are those of C++", "[abi]") {
    uffdmm_tier_options tiers[] = {tier_options(UFFDMM_TIER_RAM), tier_options(UFFDMM_TIER_FILE)};
    tiers[1].path = "/var/tmp";
    uffdmm_manager_options o = manager_options();
    o.tiers = tiers;
    o.tier_count = 2;
    const manager_config from_c = to_config(&o);
    REQUIRE(from_c.tiers.size() == 2);
    const auto& ram = std::get<ram_tier_config>(from_c.tiers[0]);
    CHECK(ram.name == ram_tier_config().name);
    CHECK(ram.size == 0);
    CHECK(ram.compression == codec::lz4);
    CHECK(ram.level == ram_tier_config().level);
    CHECK(ram.reject_percent == ram_tier_config().reject_percent);
    const auto& file = std::get<file_tier_config>(from_c.tiers[1]);
    CHECK(file.name == file_tier_config().name);
    CHECK(file.path == "/var/tmp");
    CHECK(file.keep == file_tier_config().keep);
    CHECK(file.shared == file_tier_config().shared);
    CHECK(file.preallocate == file_tier_config().preallocate);
    CHECK(file.discard == file_tier_config().discard);
    CHECK(file.queue_depth == file_tier_config().queue_depth);
}

TEST_CASE("abi: the defaults of an NBD tier are those of C++", "[abi]") {
    uffdmm_tier_options tier = tier_options(UFFDMM_TIER_NBD);
    uffdmm_manager_options o = manager_options();
    o.tiers = &tier;
    o.tier_count = 1;
    CHECK_THROWS_WITH(to_config(&o), Catch::Contains("tiers[0].uri is NULL"));
    tier.uri = "nbd://host";
    const auto config = std::get<nbd_tier_config>(to_config(&o).tiers.at(0));
    const nbd_tier_config otherwise;
    CHECK(config.name == otherwise.name);
    CHECK(config.uri == "nbd://host");
    CHECK(config.size == otherwise.size);
    CHECK(config.shared_table.empty());
    CHECK(config.tls_psk_file == otherwise.tls_psk_file);
    CHECK(config.connections == otherwise.connections);
    CHECK(config.queue_depth == otherwise.queue_depth);
    CHECK(config.discard == otherwise.discard);
    CHECK(config.durable == otherwise.durable);
    CHECK(config.request_timeout == otherwise.request_timeout);
    CHECK(config.lost_after == otherwise.lost_after);
}

TEST_CASE("abi: options of an NBD tier reach the configuration", "[abi]") {
    uffdmm_tier_options tier = tier_options(UFFDMM_TIER_NBD);
    tier.name = "far";
    tier.uri = "nbds://vm1@host/disk";
    tier.tls_psk_file = "/etc/keys";
    tier.shared_table = "/mnt/table";
    tier.size = 1 << 20;
    tier.connections = 2;
    tier.queue_depth = 3;
    tier.discard = 0;
    tier.durable = 1;
    tier.request_timeout = 500;
    tier.lost_after = 700;
    uffdmm_manager_options o = manager_options();
    o.tiers = &tier;
    o.tier_count = 1;
    const manager_config all = to_config(&o);
    CHECK_NOTHROW(validate(all));
    const auto& config = std::get<nbd_tier_config>(all.tiers.at(0));
    CHECK(config.name == "far");
    CHECK(config.uri == "nbds://vm1@host/disk");
    CHECK(config.tls_psk_file == "/etc/keys");
    CHECK(config.shared_table == "/mnt/table");
    CHECK(config.size == 1 << 20);
    CHECK(config.connections == 2);
    CHECK(config.queue_depth == 3);
    CHECK_FALSE(config.discard);
    CHECK(config.durable);
    CHECK(config.request_timeout == std::chrono::milliseconds(500));
    CHECK(config.lost_after == std::chrono::milliseconds(700));
}

TEST_CASE("abi: a wrong value of an NBD tier is refused by its place and option", "[abi]") {
    uffdmm_tier_options tier = tier_options(UFFDMM_TIER_NBD);
    tier.uri = "nbd://host";
    uffdmm_manager_options o = manager_options();
    o.tiers = &tier;
    o.tier_count = 1;
    const auto refused = [&](const std::string& what) {
        CHECK_THROWS_WITH(validate(to_config(&o)), Catch::Contains(what));
    };
    tier.durable = 2;
    refused("tiers[0].durable: 2");
    tier.durable = 0;
    tier.discard = 7;
    refused("tiers[0].discard: 7");
    tier.discard = 0;
    tier.connections = 17;
    refused("tiers[0].connections: 17");
    tier.connections = 1;
    tier.queue_depth = 0;
    refused("tiers[0].queue_depth: 0");
    tier.queue_depth = 1;
    tier.lost_after = UINT64_MAX;
    refused("tiers[0].lost_after");
    tier.lost_after = 1000;
    tier.request_timeout = 99;
    refused("tiers[0].request_timeout");
    tier.request_timeout = 100;
    tier.uri = "http://host";
    refused("tiers[0].uri: \"http://host\"");
}

TEST_CASE("abi: options without a default reach the configuration", "[abi]") {
    uffdmm_region_options o = region_options();
    o.name = "dimm0";
    o.policy = "fifo";
    o.prefetch = "off";
    o.address = reinterpret_cast<void*>(0x10000);
    o.kind = UFFDMM_SHARED_MEMORY;
    o.fd = 5;
    o.fd_offset = 8192;
    o.shards = 3;
    o.prefetch_window = 8;
    o.remove_events = 0;
    o.huge_pages = UFFDMM_HUGE_PAGES_OFF;
    const region_config config = shim::to_config(&o);
    CHECK(config.name == "dimm0");
    CHECK(config.policy == "fifo");
    CHECK(config.prefetch == "off");
    CHECK(config.address == o.address);
    CHECK(config.kind == backing::shared_memory);
    CHECK(config.fd == 5);
    CHECK(config.fd_offset == 8192);
    CHECK(config.shards == 3);
    CHECK(config.prefetch_window == 8);
    CHECK_FALSE(config.remove_events);
    CHECK(config.huge_pages == huge_page_use::off);
}

TEST_CASE("abi: a value that C++ has no enumerator for is refused by name", "[abi]") {
    uffdmm_manager_options manager = manager_options();
    manager.when_full = 256; // 0 as a byte
    CHECK_THROWS_WITH(to_config(&manager),
                      Catch::Contains("when_full: 256") && Catch::Contains("UFFDMM_WAIT (1)"));
    manager = manager_options();
    manager.placement = 2;
    CHECK_THROWS_WITH(to_config(&manager), Catch::Contains("placement: 2") &&
                                               Catch::Contains("UFFDMM_PLACE_GATHER (1)"));
    uffdmm_region_options region = region_options();
    region.kind = -1;
    CHECK_THROWS_WITH(shim::to_config(&region), Catch::Contains("kind: -1"));
    region = region_options();
    region.remove_events = 2;
    CHECK_THROWS_WITH(shim::to_config(&region),
                      Catch::Contains("remove_events: 2") && Catch::Contains("0, 1"));
    region = region_options();
    region.huge_pages = 2;
    CHECK_THROWS_WITH(shim::to_config(&region), Catch::Contains("huge_pages: 2") &&
                                                    Catch::Contains("UFFDMM_HUGE_PAGES_OFF (1)"));
}

TEST_CASE("abi: a wrong tier is refused by its place and option", "[abi]") {
    uffdmm_tier_options tiers[] = {tier_options(UFFDMM_TIER_RAM), tier_options(UFFDMM_TIER_FILE)};
    uffdmm_manager_options o = manager_options();
    o.tiers = tiers;
    o.tier_count = 2;
    CHECK_THROWS_WITH(to_config(&o), Catch::Contains("tiers[1].path is NULL"));
    tiers[1].path = "/var/tmp";
    tiers[1].keep = 3;
    CHECK_THROWS_WITH(to_config(&o), Catch::Contains("tiers[1].keep: 3"));
    tiers[1].keep = 0;
    tiers[1].shared = 2;
    CHECK_THROWS_WITH(to_config(&o), Catch::Contains("tiers[1].shared: 2"));
    tiers[1].shared = 1;
    CHECK(std::get<file_tier_config>(to_config(&o).tiers[1]).shared);
    tiers[1].reserved = 1;
    CHECK_THROWS_WITH(to_config(&o), Catch::Contains("tiers[1].reserved"));
    tiers[1].reserved = 0;
    tiers[0].compression = 9;
    CHECK_THROWS_WITH(to_config(&o), Catch::Contains("tiers[0].compression: 9") &&
                                         Catch::Contains("UFFDMM_ZSTD (1)"));
    tiers[0].kind = 0;
    CHECK_THROWS_WITH(to_config(&o), Catch::Contains("tiers[0].kind: 0"));
    o.tiers = nullptr;
    CHECK_THROWS_WITH(to_config(&o), Catch::Contains("tiers is NULL"));
}

TEST_CASE("abi: a duration too long for its type is refused, not wrapped", "[abi]") {
    uffdmm_manager_options o = manager_options();
    o.spin = UINT64_MAX;
    CHECK_THROWS_WITH(validate(to_config(&o)), Catch::Contains("spin"));
    o = manager_options();
    o.read_retry_time = UINT64_MAX;
    CHECK_THROWS_WITH(validate(to_config(&o)), Catch::Contains("read_retry_time"));
}

TEST_CASE("abi: reserved members are options of later versions", "[abi]") {
    uffdmm_tier_options tier = tier_options(UFFDMM_TIER_RAM);
    tier.reserved = 1;
    uffdmm_manager_options manager = manager_options();
    manager.tiers = &tier;
    manager.tier_count = 1;
    CHECK_THROWS_AS(to_config(&manager), too_new);
}

TEST_CASE("abi: tiers of an array may be of an older program's size", "[abi]") {
    constexpr std::size_t old = offsetof(uffdmm_tier_options, path);
    alignas(8) unsigned char array[2 * old];
    for (const auto& [place, kind] :
         {std::pair(0, UFFDMM_TIER_RAM), std::pair(1, UFFDMM_TIER_RAM)}) {
        uffdmm_tier_options tier = tier_options(kind);
        tier.struct_size = old;
        tier.name = place == 0 ? "first" : "second";
        std::memcpy(array + static_cast<std::size_t>(place) * old, &tier, old);
    }
    uffdmm_manager_options o = manager_options();
    o.tiers = reinterpret_cast<const uffdmm_tier_options*>(array);
    o.tier_count = 2;
    const manager_config config = to_config(&o);
    REQUIRE(config.tiers.size() == 2);
    CHECK(std::get<ram_tier_config>(config.tiers[1]).name == "second");
}

TEST_CASE("abi: tiers of different sizes in one array are refused", "[abi]") {
    uffdmm_tier_options tiers[] = {tier_options(UFFDMM_TIER_RAM), tier_options(UFFDMM_TIER_RAM)};
    tiers[1].struct_size -= 8;
    uffdmm_manager_options o = manager_options();
    o.tiers = tiers;
    o.tier_count = 2;
    CHECK_THROWS_WITH(to_config(&o), Catch::Contains("tiers[1].struct_size"));
}

TEST_CASE("abi: user_data is freed once, when the configuration ends", "[abi]") {
    counted_options o;
    {
        const manager_config config = to_config(&o.manager);
        CHECK(o.event_frees == 0);
        CHECK(o.tier_frees == 0);
    }
    CHECK(o.event_frees == 1);
    CHECK(o.tier_frees == 1);
}

TEST_CASE("abi: user_data is freed once, whatever was refused", "[abi]") {
    counted_options o;
    const auto refused = [&] {
        o.event_frees = 0;
        o.tier_frees = 0;
        CHECK_THROWS_AS(to_config(&o.manager), setup_error);
        CHECK(o.event_frees == 1);
        CHECK(o.tier_frees == 1);
    };
    SECTION("a number") {
        o.manager.when_full = 7;
        refused();
    }
    SECTION("an option of a later version") {
        o.tier.reserved = 1;
        refused();
    }
    SECTION("the event handler") {
        o.handler.on_event = nullptr;
        refused();
    }
    SECTION("the tier's kind") {
        o.tier.kind = 99;
        refused();
    }
    SECTION("the tier's functions") {
        o.ops.store = nullptr;
        refused();
    }
    SECTION("a tier of another size") {
        const uffdmm_tier_options tiers[] = {o.tier, {sizeof(uffdmm_tier_options) + 8}};
        o.manager.tiers = tiers;
        o.manager.tier_count = 2;
        refused();
    }
}

TEST_CASE("abi: user_data of a tier that does not use it is freed too", "[abi]") {
    counted_options o;
    o.tier.kind = UFFDMM_TIER_RAM;
    static_cast<void>(to_config(&o.manager));
    CHECK(o.tier_frees == 1);
}

TEST_CASE("abi: user_data without a function to free it is left alone", "[abi]") {
    counted_options o;
    o.tier.free_user_data = nullptr;
    o.handler.free_user_data = nullptr;
    static_cast<void>(to_config(&o.manager));
    CHECK(o.tier_frees == 0);
    CHECK(o.event_frees == 0);
}

TEST_CASE("abi: an event reaches the C handler whole", "[abi]") {
    std::vector<std::string> seen;
    const uffdmm_event_handler handler{
        sizeof handler,
        [](void* user_data, const uffdmm_event* e) {
            static_cast<std::vector<std::string>*>(user_data)->push_back(
                std::to_string(e->struct_size) + " " + std::to_string(e->kind) + " " +
                std::to_string(e->cause) + " " + e->tier + " " + std::to_string(e->address));
        },
        &seen, nullptr};
    const event_handler on_event = to_handler(&handler);
    const std::string_view tier = std::string_view("disk and more").substr(0, 4);
    on_event({event::kind::tier_degraded, tier, 0, errc::full});
    on_event({event::kind::page_poisoned, "", 0x1000, errc::corrupt});
    REQUIRE(seen.size() == 2);
    CHECK(seen[0] == "32 0 13 disk 0");
    CHECK(seen[1] == "32 2 11  4096");
}

TEST_CASE("abi: functions a tier needs are named where they are missing", "[abi]") {
    counted_options o;
    const auto refused = [&](const std::string& what) {
        CHECK_THROWS_WITH(to_config(&o.manager), Catch::Contains(what));
        o.ops = tier_ops();
    };
    o.ops.open = nullptr;
    refused("tiers[0].ops.open is NULL");
    o.ops.load = nullptr;
    refused("tiers[0].ops.load is NULL");
    o.ops.release = nullptr;
    refused("tiers[0].ops.release is NULL");
    o.ops.usage = nullptr;
    refused("tiers[0].ops.usage is NULL");
    o.ops.event_fd = [](void*) { return -1; };
    refused("event_fd is given without poll");
    o.ops.flags |= UFFDMM_TIER_COLD_ORDER;
    refused("coldest");
    o.ops.latency = 3;
    refused("tiers[0].ops.latency: 3");
    o.ops.flags |= 1u << 20;
    refused("flag that this version of the library does not know");
    o.tier.ops = nullptr;
    refused("tiers[0].ops is NULL");
}

TEST_CASE("abi: initialising options refuses what is no struct", "[abi]") {
    uffdmm_manager_options manager;
    CHECK(uffdmm_manager_options_init(nullptr, sizeof manager) == -EINVAL);
    CHECK(uffdmm_manager_options_init(&manager, 3) == -EINVAL);
    CHECK(std::string(uffdmm_last_error()).find("options.struct_size: 3") != std::string::npos);
    uffdmm_region_options region;
    CHECK(uffdmm_region_options_init(nullptr, sizeof region) == -EINVAL);
    uffdmm_tier_options tier;
    CHECK(uffdmm_tier_options_init(&tier, sizeof tier, 0) == -EINVAL);
    CHECK(std::string(uffdmm_last_error()).find("UFFDMM_TIER_FILE (2)") != std::string::npos);
}
