// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/tier_spec.hpp"

#include <string>
#include <variant>

#include "support/catch.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

template <typename Tier>
Tier parsed(std::string_view spec) {
    return std::get<Tier>(parse_tier(spec, "--tier"));
}

std::string refusal_of(std::string_view spec) {
    try {
        (void)parse_tier(spec, "--tier");
    } catch (const setup_error& e) {
        CHECK(e.code() == errc::invalid_config);
        return e.what();
    }
    return "not refused";
}

TEST_CASE("tier in one word: compressed RAM has a size and perhaps a codec") {
    CHECK(parsed<ram_tier_config>("ram:64M").size == byte_count{64} << 20);
    CHECK(parsed<ram_tier_config>("ram:64M").compression == codec::lz4);
    CHECK(parsed<ram_tier_config>("ram:64M:lz4").compression == codec::lz4);
    CHECK(parsed<ram_tier_config>("ram:1G:zstd").compression == codec::zstd);
    CHECK(parsed<ram_tier_config>("ram:0").size == 0);
}

TEST_CASE("tier in one word: the size of a file is behind the last colon") {
    const auto tier = parsed<file_tier_config>("file:/srv/a:b:2G");
    CHECK(tier.path == "/srv/a:b");
    CHECK(tier.size == byte_count{2} << 30);
    CHECK(parsed<file_tier_config>("file:/dev/vdb:0").size == 0);
}

TEST_CASE("tier in one word: a shared file is a store that is not reserved as a whole") {
    const auto tier = parsed<file_tier_config>("shared:/mnt/store/swap:2G");
    CHECK(tier.path == "/mnt/store/swap");
    CHECK(tier.size == byte_count{2} << 30);
    CHECK(tier.name == "shared");
    CHECK(tier.shared);
    CHECK_FALSE(tier.preallocate);
}

TEST_CASE("tier in one word: all behind nbd: is the URI") {
    for (const std::string uri : {"nbd://host", "nbd://host:10809/vm1", "nbds://vm1@[::1]:10810/",
                                  "nbd+unix:///vm1?socket=/run/a:b.sock"}) {
        const auto tier = parsed<nbd_tier_config>("nbd:" + uri);
        CHECK(tier.uri == uri);
        CHECK(tier.size == 0);
    }
}

TEST_CASE("tier in one word: what is wrong is named, and what is allowed") {
    struct {
        std::string spec;
        std::string named;
        std::string allowed;
    } const table[] = {
        {"", R"("")", "ram:SIZE"},
        {"ram", R"("ram")", "ram:SIZE"},
        {"ram:", R"("ram:")", "ram:SIZE"},
        {"ram::lz4", R"("ram::lz4")", "ram:SIZE"},
        {"ram:lots", R"("lots")", "256M"},
        {"ram:64M:gzip", R"("gzip")", "lz4, zstd"},
        {"ram:64M:", R"("")", "lz4, zstd"},
        {"ram:64M:lz4:1", R"("lz4:1")", "lz4, zstd"},
        {"file", R"("file")", "file:PATH:SIZE"},
        {"file:", R"("file:")", "file:PATH:SIZE"},
        {"file:/var/tmp", R"("file:/var/tmp")", "file:PATH:SIZE"},
        {"file:/var/tmp:", R"("file:/var/tmp:")", "file:PATH:SIZE"},
        {"file::1G", R"("file::1G")", "file:PATH:SIZE"},
        {"file:/var/tmp:huge", R"("huge")", "256M"},
        {"nbd", R"("nbd")", "nbd:URI"},
        {"nbd:", R"("nbd:")", "nbd:URI"},
        {"tape:1G", R"("tape:1G")", std::string(tier_forms)},
        {"RAM:1G", R"("RAM:1G")", std::string(tier_forms)},
        {":1G", R"(":1G")", std::string(tier_forms)},
    };
    for (const auto& bad : table) {
        const std::string said = refusal_of(bad.spec);
        INFO("of " << bad.spec << " it says: " << said);
        CHECK(said.starts_with("--tier: "));
        CHECK(said.find(bad.named) != std::string::npos);
        CHECK(said.find(bad.allowed) != std::string::npos);
    }
}

TEST_CASE("tier in one word: a URI that leads nowhere is refused with the rest of the tiers") {
    manager_config config;
    config.limit = least_limit;
    config.tiers = {parse_tier("nbd:http://host/", "--tier")};
    CHECK_THROWS_WITH(validate(config), Catch::Contains("nbd://HOST"));
}

TEST_CASE("tier in one word: tiers of one kind get names that differ") {
    std::vector<tier_config> tiers;
    for (const char* spec : {"ram:1M", "ram:2M", "file:/a:1M", "ram:3M", "nbd:nbd://h"})
        tiers.push_back(parse_tier(spec, "--tier"));
    name_tiers(tiers);
    std::string names;
    for (const tier_config& tier : tiers)
        names += std::visit([](const auto& t) { return t.name; }, tier) + " ";
    CHECK(names == "ram ram2 file ram3 nbd ");
}

} // namespace
} // namespace uffdmm
