// SPDX-License-Identifier: BSD-3-Clause
#include <cerrno>

#include <nlohmann/json.hpp>

#include "control/fake_target.hpp"
#include "support/catch.hpp"
#include "uffdmm/control.hpp"

namespace {

using namespace uffdmm;
using nlohmann::json;
using testing::fake_target;

json ask(fake_target& target, std::string_view request) {
    const std::string answer = answer_control(target, request);
    CHECK(answer.find('\n') == std::string::npos);
    json parsed = json::parse(answer);
    CHECK(parsed.size() == 1);
    return parsed;
}

void check_error(std::string_view request, std::string_view said) {
    INFO(request);
    fake_target target;
    const json answer = ask(target, request);
    REQUIRE(answer.contains("error"));
    INFO(answer["error"]);
    CHECK(answer["error"].get<std::string>().find(said) != std::string::npos);
    CHECK(target.now == byte_count{256} << 20);
    CHECK(target.evicted.empty());
}

} // namespace

TEST_CASE("control: stats answers with the target's object in one line") {
    fake_target target;
    CHECK(ask(target, R"({"command": "stats"})")["result"]["faults"] == 7);
    CHECK(ask(target, " {\"command\":\"stats\"}\r")["result"]["faults"] == 7);
}

TEST_CASE("control: the limit is told, and set by a number or a text") {
    fake_target target;
    CHECK(ask(target, R"({"command": "limit"})")["result"]["limit_bytes"] == 256 << 20);
    CHECK(ask(target, R"({"command": "limit", "bytes": "512M"})")["result"]["limit_bytes"] ==
          512 << 20);
    CHECK(target.now == byte_count{512} << 20);
    (void)ask(target, R"({"command": "limit", "bytes": 4194304})");
    CHECK(target.now == byte_count{4} << 20);
}

TEST_CASE("control: list shows each region, whatever its name is made of") {
    fake_target target;
    const json regions = ask(target, R"({"command": "list"})")["result"]["regions"];
    REQUIRE(regions.size() == 2);
    CHECK(regions[0]["name"] == "ram");
    CHECK(regions[0]["address"] == 0x1000);
    CHECK(regions[0]["bytes"] == 8192);
    CHECK(regions[0]["resident_bytes"] == 4096);
    CHECK(regions[0]["swapped_bytes"] == 4096);
    CHECK(regions[1]["untouched_bytes"] == 4096);
}

TEST_CASE("control: evict is of one region or of all") {
    fake_target target;
    CHECK(ask(target, R"({"command": "evict"})")["result"]["evicted_bytes"] == 12288);
    (void)ask(target, R"({"command": "evict", "region": "ram"})");
    CHECK(target.evicted == std::vector<std::string>{"", "ram"});
}

TEST_CASE("control: what is not a request is answered with what is allowed") {
    check_error("", "line 1");
    check_error("hello", "line 1");
    check_error("{\"command\": \"stats\"", "line 1");
    check_error("[1]", "an object, such as");
    check_error("{}", "command: the key is required; allowed: stats, limit, list, evict");
    check_error(R"({"command": 3})", "stats, limit, list, evict");
    check_error(R"({"command": "stat"})", "stats");
    check_error(R"({"command": "stats", "bytes": 1})", "bytes");
    check_error(R"({"command": "limit", "byte": "64M"})", "bytes");
    check_error(R"({"command": "limit", "bytes": "1M"})", "4M or more");
    check_error(R"({"command": "limit", "bytes": -1})", "4M or more");
    check_error(R"({"command": "limit", "bytes": 1e300})", "4M or more");
    check_error(R"({"command": "limit", "bytes": "many"})", "many");
    check_error(R"({"command": "limit", "bytes": null})", "4M or more");
    check_error(R"({"command": "evict", "region": ""})", "the name of a region");
    check_error(R"({"command": "evict", "region": []})", "the name of a region");
    check_error(R"({"command": "evict", "command": "stats"})", "command");
    check_error("{\"command\": \"\xff\"}", "");
}

TEST_CASE("control: what the target refuses is told with its error") {
    fake_target target;
    target.refused = {errc::limit_too_small, ENOMEM, "set_limit"};
    for (const char* request : {R"({"command": "limit", "bytes": "8M"})", R"({"command": "list"})",
                                R"({"command": "evict"})"}) {
        const std::string said = ask(target, request)["error"];
        CHECK(said.find("set_limit") != std::string::npos);
        CHECK(said.find(to_string(errc::limit_too_small)) != std::string::npos);
        CHECK(said.find("Cannot allocate memory") != std::string::npos);
    }
}
