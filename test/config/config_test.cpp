// SPDX-License-Identifier: BSD-3-Clause
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

/// The message with which a configuration is refused, or "" if it is not.
std::string refusal(const std::string& json) {
    try {
        static_cast<void>(parse_config(json, "text"));
        return {};
    } catch (const setup_error& e) {
        REQUIRE(e.code() == errc::invalid_config);
        return e.what();
    }
}

template <typename Config>
std::string refusal_of(const Config& config) {
    try {
        validate(config);
        return {};
    } catch (const setup_error& e) {
        REQUIRE(e.code() == errc::invalid_config);
        return e.what();
    }
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

struct refused {
    std::string path;    ///< of the key
    std::string value;   ///< in JSON
    std::string shown;   ///< the value in the message
    std::string allowed; ///< part of what the message says is allowed
};

void check_refused(const std::string& json, const refused& c) {
    const std::string message = refusal(json);
    INFO("configuration: " << json << "\nmessage: " << message);
    CHECK(message.rfind("text: " + c.path + ": ", 0) == 0);
    CHECK(contains(message, c.shown));
    CHECK(contains(message, c.allowed));
}

/// {"limit": "64M", ...}, without a second limit.
std::string manager_with(const std::string& key, const std::string& value) {
    const std::string limit = key == "limit" ? "" : R"("limit": "64M", )";
    return "{" + limit + "\"" + key + "\": " + value + "}";
}

std::string tier_with(const std::string& kind, const std::string& key, const std::string& value) {
    const std::string path = kind == "file" && key != "path" ? R"("path": "/var/tmp", )" : "";
    return R"({"limit": "64M", "tiers": [{"kind": ")" + kind + "\", " + path + "\"" + key +
           "\": " + value + "}]}";
}

std::string region_with(const std::string& key, const std::string& value) {
    const std::string size = key == "size" ? "" : R"("size": "1G", )";
    return R"({"limit": "64M", "regions": [{"size": "1M"}, {)" + size + "\"" + key +
           "\": " + value + "}]}";
}

const std::string sizes = "a size from";
const std::string flags = "true or false";

const std::vector<refused> manager_cases = {
    {"limit", "null", "null", sizes},
    {"limit", "true", "true", sizes},
    {"limit", "[]", "an array", sizes},
    {"limit", "{}", "an object", sizes},
    {"limit", "-1", "-1", sizes},
    {"limit", "67108864.0", "67108864.0", sizes},
    {"limit", "1e30", "1e+30", sizes},
    {"limit", "18446744073709551616", "1.84467", sizes},
    {"limit", "0", "0", "from 4M"},
    {"limit", "4194303", "4194303", "from 4M"},
    {"limit", "\"3M\"", "\"3M\"", "from 4M"},
    {"limit", "\"256 M\"", "\"256 M\"", "K, M, G or T"},
    {"limit", "\"\"", "\"\"", "K, M, G or T"},
    {"workers", "\"2\"", "\"2\"", "from 1 to 64"},
    {"workers", "0", "0", "from 1 to 64"},
    {"workers", "65", "65", "from 1 to 64"},
    {"workers", "4294967297", "4294967297", "from 1 to 64"},
    {"workers", "1.5", "1.5", "from 1 to 64"},
    {"workers", "-1", "-1", "from 1 to 64"},
    {"workers", "null", "null", "from 1 to 64"},
    {"staged_percent", "51", "51", "from 0 to 50"},
    {"staged_percent", "\"12\"", "\"12\"", "from 0 to 50"},
    {"low_watermark_permille", "0", "0", "from 1 to 249"},
    {"low_watermark_permille", "250", "250", "from 1 to 249"},
    {"low_watermark_permille", "false", "false", "from 1 to 249"},
    {"low_watermark_permille", "30", "30", "low < high <= 250"},
    {"low_watermark_permille", "31", "31", "low < high <= 250"},
    {"high_watermark_permille", "251", "251", "from 2 to 250"},
    {"high_watermark_permille", "1", "1", "from 2 to 250"},
    {"high_watermark_permille", "[3]", "an array", "from 2 to 250"},
    {"spin", "1000001", "1000001", "0 to 1000000 microseconds"},
    {"spin", "-1", "-1", "0 to 1000000 microseconds"},
    {"spin", "1.5", "1.5", "0 to 1000000 microseconds"},
    {"spin", "\"2s\"", "\"2s\"", "0 to 1000000 microseconds"},
    {"spin", "\"1500ns\"", "\"1500ns\"", "0 to 1000000 microseconds"},
    {"spin", "\"20\"", "\"20\"", "ns, us, ms or s"},
    {"spin", "\"20 us\"", "\"20 us\"", "ns, us, ms or s"},
    {"spin", "\"99999999999999999999s\"", "\"9999", "ns, us, ms or s"},
    {"spin", "\"10000000000s\"", "\"1000", "ns, us, ms or s"},
    {"spin", "true", "true", "0 to 1000000 microseconds"},
    {"placement", "\"apart\"", "\"apart\"", "scheduler"},
    {"placement", "1", "1", "gather"},
    {"read_retry_time", "600001", "600001", "0 to 600000 milliseconds"},
    {"read_retry_time", "\"500us\"", "\"500us\"", "0 to 600000 milliseconds"},
    {"read_retry_time", "\"-1s\"", "\"-1s\"", "ns, us, ms or s"},
    {"read_retry_time", "null", "null", "0 to 600000 milliseconds"},
    {"when_full", "\"panic\"", "\"panic\"", "exceed, wait"},
    {"when_full", "\"weit\"", "\"weit\"", "did you mean \"wait\"?"},
    {"when_full", "0", "0", "exceed, wait"},
    {"tiers", "{}", "an object", "an array"},
    {"tiers", "\"ram\"", "\"ram\"", "an array"},
    {"tiers[0]", "[\"ram\"]", "\"ram\"", "an object"},
    {"tiers[0].kind", "[{}]", "required", "ram, file"},
    {"tiers[0].kind", "[{\"kind\": 1}]", "1", "ram, file"},
    {"tiers[0].kind", "[{\"kind\": \"rma\"}]", "\"rma\"", "did you mean \"ram\"?"},
    {"tiers[0].kind", "[{\"kind\": \"custom\"}]", "\"custom\"", "ram, file"},
    {"tiers[1].path", R"([{"kind": "ram"}, {"kind": "file", "size": "1G"}])", "", "required"},
    {"tiers[1].name", R"([{"kind": "ram"}, {"kind": "ram"}])", "\"ram\"", "no other tier has"},
    {"tiers[0].name", R"([{"kind": "ram", "name": "same-filled"}])", "\"same-filled\"",
     "any other name"},
    {"regions", "{}", "an object", "an array"},
    {"regions[0]", "[1]", "1", "an object"},
    {"regions[0].size", "[{}]", "", "required"},
};

const std::vector<refused> ram_cases = {
    {"name", "\"\"", "\"\"", "1 to 64 bytes"},
    {"name", "7", "7", "1 to 64 bytes"},
    {"name", "\"a\\nb\"", "\"a\\u000ab\"", "without control characters"},
    {"name", "\"a\\u0000b\"", "\"a\\u0000b\"", "without control characters"},
    {"size", "4095", "4095", "0 (half of the limit) or a size from 4K"},
    {"size", "\"-64M\"", "\"-64M\"", "K, M, G or T"},
    {"compression", "\"lzo\"", "\"lzo\"", "lz4, zstd"},
    {"compression", "\"LZ4\"", "\"LZ4\"", "did you mean \"lz4\"?"},
    {"compression", "1", "1", "lz4, zstd"},
    {"level", "0", "0", "from 1 to 19"},
    {"level", "20", "20", "from 1 to 19"},
    {"level", "-1", "-1", "from 1 to 19"},
    {"level", "\"fast\"", "\"fast\"", "from 1 to 19"},
    {"reject_percent", "0", "0", "from 1 to 100"},
    {"reject_percent", "101", "101", "from 1 to 100"},
    {"reject_percent", "80.5", "80.5", "from 1 to 100"},
    {"path", "\"/x\"", "no such key", "name, size, compression, level, reject_percent"},
};

const std::vector<refused> file_cases = {
    {"name", "[]", "an array", "1 to 64 bytes"},
    {"path", "\"\"", "\"\"", "a path of 1 to 4095 bytes"},
    {"path", "1", "1", "a path of 1 to 4095 bytes"},
    {"path", "\"/tmp\\u0000/x\"", "\\u0000", "a path of 1 to 4095 bytes"},
    {"size", "\"0x100000\"", "\"0x100000\"", "K, M, G or T"},
    {"size", "1", "1", "0 (all of a block device or shared store) or a size from 4K"},
    {"shared", "1", "1", flags},
    {"keep", "1", "1", flags},
    {"keep", "\"true\"", "\"true\"", flags},
    {"preallocate", "null", "null", flags},
    {"discard", "0", "0", flags},
    {"queue_depth", "0", "0", "from 1 to 1024"},
    {"queue_depth", "1025", "1025", "from 1 to 1024"},
    {"queue_depth", "\"64\"", "\"64\"", "from 1 to 1024"},
    {"queue_dept", "64", "no such key", "did you mean \"queue_depth\"?"},
};

const std::vector<refused> region_cases = {
    {"name", "\"\"", "\"\"", "1 to 64 bytes"},
    {"name", "null", "null", "1 to 64 bytes"},
    {"size", "0", "0", "a multiple of 4096 bytes from 4K"},
    {"size", "4097", "4097", "a multiple of 4096"},
    {"size", "\"129T\"", "\"129T\"", "to 128T"},
    {"size", "\"1.5G\"", "\"1.5G\"", "K, M, G or T"},
    {"size", "1.0", "1.0", "a multiple of 4096"},
    {"kind", "\"hugetlb\"", "\"hugetlb\"", "private_anonymous, shared_memory"},
    {"kind", "0", "0", "private_anonymous, shared_memory"},
    {"shards", "0", "0", "from 1 to 64"},
    {"shards", "65", "65", "from 1 to 64"},
    {"shards", "\"4\"", "\"4\"", "from 1 to 64"},
    {"policy", "\"lru\"", "\"lru\"", "fifo, second_chance, s3fifo"},
    {"policy", "\"s3_fifo\"", "\"s3_fifo\"", "did you mean \"s3fifo\"?"},
    {"policy", "3", "3", "fifo, second_chance, s3fifo"},
    {"prefetch", "false", "false", "off, sequential, stride, adaptive"},
    {"prefetch", "\"none\"", "\"none\"", "off, sequential, stride, adaptive"},
    {"prefetch_window", "0", "0", "from 1 to 512"},
    {"prefetch_window", "513", "513", "from 1 to 512"},
    {"prefetch_window", "\"64K\"", "\"64K\"", "from 1 to 512"},
    {"remove_events", "\"no\"", "\"no\"", flags},
    {"huge_pages", "true", "true", "auto, off"},
    {"huge_pages", "\"always\"", "\"always\"", "auto, off"},
    {"address", "4096", "embedder", "C or C++ interface"},
    {"fd", "3", "embedder", "C or C++ interface"},
    {"fd_offset", "0", "embedder", "C or C++ interface"},
    {"shardz", "1", "no such key", "did you mean \"shards\"?"},
    {"limit", "\"1G\"", "no such key", "known keys: name, size, kind, shards"},
};

TEST_CASE("config: every wrong value of a manager key is refused by name") {
    for (const refused& c : manager_cases) {
        const std::string key = c.path.substr(0, c.path.find_first_of("[."));
        check_refused(manager_with(key, c.value), c);
    }
}

TEST_CASE("config: every wrong value of a tier key is refused by its path") {
    for (refused c : ram_cases) {
        const std::string json = tier_with("ram", c.path, c.value);
        c.path = "tiers[0]." + c.path;
        check_refused(json, c);
    }
    for (refused c : file_cases) {
        const std::string json = tier_with("file", c.path, c.value);
        c.path = "tiers[0]." + c.path;
        check_refused(json, c);
    }
}

TEST_CASE("config: every wrong value of a region key is refused by its path") {
    for (refused c : region_cases) {
        const std::string json = region_with(c.path, c.value);
        c.path = "regions[1]." + c.path;
        check_refused(json, c);
    }
}

TEST_CASE("config: an unknown key is refused with the known ones and a suggestion") {
    CHECK(
        refusal(R"({"limits": "64M"})") ==
        "text: limits: there is no such key; did you mean \"limit\"? (known keys: tiers, regions, "
        "limit, workers, staged_percent, low_watermark_permille, high_watermark_permille, spin, "
        "read_retry_time, when_full, placement)");
    CHECK(
        contains(refusal(R"({"limit": "64M", "on_event": 1})"), "on_event: there is no such key"));
    CHECK(contains(refusal("{\"limit\": \"64M\", \"a\\u0007.b\": 1}"), "\"a\\u0007.b\": there is"));
}

TEST_CASE("config: the limit is required") {
    CHECK(refusal("{}") == "text: limit: the key is required");
}

TEST_CASE("config: what is no object is refused") {
    for (const char* json : {"[]", "1", "\"256M\"", "null", "true"})
        CHECK(contains(refusal(json), "allowed: an object"));
}

TEST_CASE("config: bad JSON is refused with line and column") {
    const std::string message = refusal("{\n  \"limit\": \"64M\",\n  \"workers\" 2\n}");
    INFO(message);
    CHECK(message.rfind("text: line 3, column 13: ", 0) == 0);
    for (const char* json :
         {"", " ", "{", "{\"limit\": 1", "{\"limit\": \"64M\"} x", "{'limit': 1}",
          "{\"limit\": 0x10}", "{\"limit\": \"64M\",}", "\xff", "{\"limit\": 1e999}"})
        CHECK(refusal(json).rfind("text: ", 0) == 0);
}

TEST_CASE("config: comments are refused") {
    CHECK(contains(refusal("{\n// the budget\n\"limit\": \"64M\"}"), "text: line 2, column"));
    CHECK(contains(refusal("{ /* the budget */ \"limit\": \"64M\"}"), "text: line 1, column"));
}

TEST_CASE("config: a key given twice is refused by its path") {
    CHECK(refusal(R"({"limit": "64M", "limit": "65M"})") ==
          "text: limit: the key is given twice; allowed: once");
    CHECK(
        refusal(R"({"limit": "64M", "regions": [{"size": "1M"}, {"size": 4096, "size": 8192}]})") ==
        "text: regions[1].size: the key is given twice; allowed: once");
    CHECK(refusal(R"({"limit": "64M", "tiers": [[1, [2]], {}, {"kind": "ram", "kind": "ram"}]})") ==
          "text: tiers[2].kind: the key is given twice; allowed: once");
}

TEST_CASE("config: absent keys keep the defaults of the structs") {
    const config read = parse_config(R"({"limit": 67108864, "tiers": [{"kind": "ram"},
        {"kind": "file", "path": "/var/tmp"}], "regions": [{"size": "1G"}]})");
    const auto& ram = std::get<ram_tier_config>(read.manager.tiers.at(0));
    const auto& file = std::get<file_tier_config>(read.manager.tiers.at(1));
    CHECK(read.manager.limit == 64 << 20);
    CHECK(read.manager.workers == manager_config{}.workers);
    CHECK(read.manager.spin == manager_config{}.spin);
    CHECK(ram.size == 0);
    CHECK(ram.compression == codec::lz4);
    CHECK(file.path == "/var/tmp");
    CHECK(file.preallocate);
    CHECK(read.regions.at(0).size == 1 << 30);
    CHECK(read.regions.at(0).policy == region_config{}.policy);
    CHECK(read.regions.at(0).address == nullptr);
}

TEST_CASE("config: every key is read") {
    const config read = parse_config(R"({
        "limit": "5M", "workers": 64, "staged_percent": 50, "low_watermark_permille": 249,
        "high_watermark_permille": 250, "spin": "1ms", "read_retry_time": "3s",
        "when_full": "wait", "placement": "gather",
        "tiers": [
            {"kind": "ram", "name": "fast", "size": "4K", "compression": "zstd", "level": 19,
             "reject_percent": 100},
            {"kind": "file", "name": "disk", "path": "/dev/null", "size": "1T",
             "shared": true, "keep": true, "preallocate": false,
             "discard": false, "queue_depth": 1024}],
        "regions": [{"name": "pc.ram", "size": "8K", "kind": "shared_memory", "shards": 2,
                     "policy": "fifo", "prefetch": "stride", "prefetch_window": 1,
                     "remove_events": false, "huge_pages": "off"}]})");
    const manager_config& m = read.manager;
    CHECK(m.limit == 5 << 20);
    CHECK(m.workers == 64);
    CHECK(m.staged_percent == 50);
    CHECK(m.low_watermark_permille == 249);
    CHECK(m.high_watermark_permille == 250);
    CHECK(m.spin == std::chrono::milliseconds(1));
    CHECK(m.read_retry_time == std::chrono::seconds(3));
    CHECK(m.when_full == on_swap_full::wait);
    CHECK(m.placement == thread_placement::gather);
    const auto& ram = std::get<ram_tier_config>(m.tiers.at(0));
    CHECK(ram.name == "fast");
    CHECK(ram.size == 4096);
    CHECK(ram.compression == codec::zstd);
    CHECK(ram.level == 19);
    CHECK(ram.reject_percent == 100);
    const auto& file = std::get<file_tier_config>(m.tiers.at(1));
    CHECK(file.name == "disk");
    CHECK(file.path == "/dev/null");
    CHECK(file.size == byte_count{1} << 40);
    CHECK(file.shared);
    CHECK(file.keep);
    CHECK_FALSE(file.preallocate);
    CHECK_FALSE(file.discard);
    CHECK(file.queue_depth == 1024);
    const region_config& region = read.regions.at(0);
    CHECK(region.name == "pc.ram");
    CHECK(region.size == 8192);
    CHECK(region.kind == backing::shared_memory);
    CHECK(region.shards == 2);
    CHECK(region.policy == "fifo");
    CHECK(region.prefetch == "stride");
    CHECK(region.prefetch_window == 1);
    CHECK_FALSE(region.remove_events);
    CHECK(region.huge_pages == huge_page_use::off);
}

TEST_CASE("config: what is written is read back the same, for every key") {
    // No value is a default, so that a key that is not written shows.
    const std::string text = R"({
        "limit": "5M", "workers": 3, "staged_percent": 5, "low_watermark_permille": 7,
        "high_watermark_permille": 9, "spin": 0, "read_retry_time": 1, "when_full": "wait",
        "placement": "gather",
        "tiers": [
            {"kind": "file", "name": "d", "path": "/a \"b\"\n", "size": "3G",
             "shared": true, "keep": true, "preallocate": false,
             "discard": false, "queue_depth": 2},
            {"kind": "ram", "name": "r", "size": 4097, "compression": "zstd", "level": 3,
             "reject_percent": 50}],
        "regions": [{"name": "x", "size": "12K", "kind": "shared_memory", "shards": 3,
                     "policy": "second_chance", "prefetch": "off", "prefetch_window": 2,
                     "remove_events": false, "huge_pages": "off"}]})";
    const std::string once = to_json(parse_config(text));
    INFO(once);
    CHECK(to_json(parse_config(once)) == once);
    for (const char* part : {"\"limit\": \"5M\"",
                             "\"workers\": 3",
                             "\"staged_percent\": 5",
                             "\"low_watermark_permille\": 7",
                             "\"high_watermark_permille\": 9",
                             "\"spin\": 0",
                             "\"read_retry_time\": 1",
                             "\"when_full\": \"wait\"",
                             "\"placement\": \"gather\"",
                             "\"kind\": \"file\"",
                             "\"name\": \"d\"",
                             R"("path": "/a \"b\"\n")",
                             "\"size\": \"3G\"",
                             "\"shared\": true",
                             "\"keep\": true",
                             "\"preallocate\": false",
                             "\"discard\": false",
                             "\"queue_depth\": 2",
                             "\"kind\": \"ram\"",
                             "\"name\": \"r\"",
                             "\"size\": \"4097\"",
                             "\"compression\": \"zstd\"",
                             "\"level\": 3",
                             "\"reject_percent\": 50",
                             "\"name\": \"x\"",
                             "\"size\": \"12K\"",
                             "\"kind\": \"shared_memory\"",
                             "\"shards\": 3",
                             "\"policy\": \"second_chance\"",
                             "\"prefetch\": \"off\"",
                             "\"prefetch_window\": 2",
                             "\"remove_events\": false",
                             "\"huge_pages\": \"off\""})
        CHECK(contains(once, part));
}

TEST_CASE("config: what has no form in JSON is not written") {
    config c;
    c.manager.tiers.push_back(custom_tier_config{"mine", {}});
    CHECK_THROWS_WITH(to_json(c), Catch::Contains("tiers[0]"));
    c.manager.tiers.clear();
    c.regions.resize(1);
    c.regions[0].address = &c;
    CHECK_THROWS_WITH(to_json(c), Catch::Contains("regions[0].address"));
    c.regions[0] = {};
    c.regions[0].make_policy = [](page_table&) { return nullptr; };
    CHECK_THROWS_WITH(to_json(c), Catch::Contains("regions[0].make_policy"));
}

TEST_CASE("config: a file that cannot be read or is no configuration is refused by its path") {
    CHECK_THROWS_WITH(load_config("/nonexistent/x.json"), Catch::Contains("/nonexistent/x.json"));
    CHECK_THROWS_WITH(load_config("/"), Catch::Contains("directory"));
    CHECK_THROWS_WITH(load_config("/dev/zero"), Catch::Contains("larger than 1M"));
    CHECK_THROWS_WITH(load_config("/dev/null"), Catch::Contains("/dev/null: line 1"));
}

manager_config good_manager() {
    manager_config m;
    m.limit = 64 << 20;
    return m;
}

region_config good_region() {
    region_config r;
    r.size = 1 << 20;
    return r;
}

void* at(std::uintptr_t address) {
    return reinterpret_cast<void*>(address); // NOLINT
}

TEST_CASE("config: validate refuses what a manager_config must not hold") {
    CHECK(refusal_of(good_manager()).empty());
    const auto refusal_with = [](auto change) {
        manager_config m = good_manager();
        change(m);
        return refusal_of(m);
    };
    using m = manager_config;
    CHECK(contains(refusal_with([](m& c) { c.limit = 0; }), "limit: 0 is not allowed"));
    CHECK(contains(refusal_with([](m& c) { c.workers = 65; }), "workers: 65"));
    CHECK(contains(refusal_with([](m& c) { c.spin = std::chrono::microseconds(-1); }),
                   "spin: -1 microseconds"));
    CHECK(contains(refusal_with([](m& c) { c.read_retry_time = std::chrono::hours(1); }),
                   "read_retry_time: 3600000 milliseconds"));
    CHECK(contains(refusal_with([](m& c) { c.when_full = static_cast<on_swap_full>(9); }),
                   "when_full: 9"));
    CHECK(contains(refusal_with([](m& c) { c.placement = static_cast<thread_placement>(2); }),
                   "placement: 2"));
    CHECK(contains(refusal_with([](m& c) { c.high_watermark_permille = 15; }),
                   "low_watermark_permille: 15 is not below high_watermark_permille, which is 15"));
    CHECK(contains(refusal_with([](m& c) { c.tiers = {custom_tier_config{}}; }), "tiers[0].make"));
    CHECK(contains(refusal_with([](m& c) { c.tiers = {file_tier_config{}}; }), "tiers[0].path"));
    CHECK(contains(refusal_with([](m& c) {
                       for (int i = 0; i < 7; ++i)
                           c.tiers.emplace_back(ram_tier_config{.name = std::to_string(i)});
                   }),
                   "tiers: 7 tiers is not allowed; allowed: at most 6"));
}

TEST_CASE("config: validate refuses combinations of address, descriptor and kind") {
    const auto refusal_with = [](auto change) {
        region_config r = good_region();
        change(r);
        return refusal_of(r);
    };
    using r = region_config;
    CHECK(refusal_with([](r&) {}).empty());
    CHECK(refusal_with([](r& c) { c.address = at(0x10000); }).empty());
    CHECK(refusal_with([](r& c) { c.kind = backing::shared_memory; }).empty());
    const auto adopt = [](r& c) {
        c.kind = backing::shared_memory;
        c.address = at(0x10000);
        c.fd = 3;
    };
    CHECK(refusal_with(adopt).empty());
    CHECK(contains(refusal_with([](r& c) { c.address = at(0x10001); }), "address: is not a mult"));
    CHECK(
        contains(refusal_with([](r& c) { c.address = at(UINTPTR_MAX - 4095); }), "address: plus"));
    CHECK(contains(refusal_with([](r& c) { c.fd = 3; }), "fd: 3 goes with kind"));
    CHECK(contains(refusal_with([](r& c) { c.fd = -2; }), "fd: -2"));
    CHECK(
        contains(refusal_with([&](r& c) { adopt(c), c.address = nullptr; }), "fd: 3 is given wi"));
    CHECK(contains(refusal_with([&](r& c) { adopt(c), c.fd = -1; }), "fd: is -1, but kind is"));
    CHECK(
        contains(refusal_with([](r& c) { c.fd_offset = 4096; }), "fd_offset: 4096 is given with"));
    CHECK(
        contains(refusal_with([&](r& c) { adopt(c), c.fd_offset = 1; }), "fd_offset: 1 is not al"));
    CHECK(contains(refusal_with([&](r& c) { adopt(c), c.fd_offset = UINT64_MAX - 4095; }),
                   "fd_offset: "));
}

TEST_CASE("config: validate refuses shards without pages and shards too large to count") {
    region_config r = good_region();
    r.size = 8192;
    r.shards = 3;
    CHECK(contains(refusal_of(r),
                   "shards: 3 is not allowed; allowed: at most one shard per page, 2"));
    r.size = byte_count{16} << 40;
    r.shards = 1;
    CHECK(contains(refusal_of(r), "shards: 1 is not allowed; allowed: at least 2"));
    r.shards = 2;
    CHECK(refusal_of(r).empty());
}

TEST_CASE("config: a factory stands in for the name of a policy or prefetcher") {
    region_config r = good_region();
    r.policy = "mine";
    r.prefetch = "mine";
    CHECK(contains(refusal_of(r), "policy: \"mine\""));
    r.make_policy = [](page_table&) { return nullptr; };
    CHECK(contains(refusal_of(r), "prefetch: \"mine\""));
    r.make_prefetcher = [](page_count) { return nullptr; };
    CHECK(refusal_of(r).empty());
}

} // namespace
} // namespace uffdmm
