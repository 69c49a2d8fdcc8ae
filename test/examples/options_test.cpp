// SPDX-License-Identifier: BSD-3-Clause
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

#include "overcommit/options.hpp"
#include "support/catch.hpp"
#include "uffdmm/result.hpp"

namespace overcommit {
namespace {

using arguments = std::vector<std::string_view>;

/// The message with which the arguments are refused, or "" if they are not.
std::string refusal(const arguments& given) {
    try {
        static_cast<void>(parse_options(given));
        return {};
    } catch (const uffdmm::setup_error& e) {
        return e.what();
    }
}

struct refused {
    arguments given;
    std::string option;  ///< the message starts with it
    std::string allowed; ///< part of the message
};

/// A file in the directory for temporary files, gone with the object.
class temporary_file {
  public:
    explicit temporary_file(const std::string& text) {
        const int fd = ::mkstemp(name_.data());
        REQUIRE(fd >= 0);
        ::close(fd);
        std::ofstream(name_) << text;
    }
    ~temporary_file() { ::unlink(name_.c_str()); }
    temporary_file(const temporary_file&) = delete;
    temporary_file& operator=(const temporary_file&) = delete;
    [[nodiscard]] const std::string& name() const { return name_; }

  private:
    std::string name_ = "/tmp/uffdmm-options-XXXXXX";
};

TEST_CASE("overcommit: a wrong option is refused by name, with what is allowed", "[overcommit]") {
    const refused cases[] = {
        {{"--sice", "1G"}, "--sice", "--size"},
        {{"--size"}, "--size", "needs a value"},
        {{"--size", "big"}, "--size", "256M"},
        {{"--size", "1000"}, "--size", "4096"},
        {{"--size=0"}, "--size", "4096"},
        {{"--limit", "1M"}, "--limit", "4M"},
        {{"--limit", "-4M"}, "--limit", "256M"},
        {{"--threads", "0"}, "--threads", "from 1 to 256"},
        {{"--threads", "2x"}, "--threads", "from 1 to 256"},
        {{"--threads", "4", "--size", "8K"}, "--threads", "at most one for each page"},
        {{"--seconds", "-1"}, "--seconds", "from 0 to"},
        {{"--seconds", "nan"}, "--seconds", "from 0 to"},
        {{"--pattern", "zip"}, "--pattern", "uniform, zipf, sequential, stride, scan+zipf, phases"},
        {{"--write-percent", "101"}, "--write-percent", "from 0 to 100"},
        {{"--compressibility", "0.5"}, "--compressibility", "from 1 to 20"},
        {{"--same-filled-percent", "101"}, "--same-filled-percent", "from 0 to 100"},
        {{"--tier", "tape:1G"}, "--tier", "file:PATH:SIZE"},
        {{"--tier", "ram"}, "--tier", "ram:SIZE"},
        {{"--tier", "ram:"}, "--tier", "ram:SIZE"},
        {{"--tier", "ram:64M:gzip"}, "--tier", "lz4, zstd"},
        {{"--tier", "ram:lots"}, "--tier", "256M"},
        {{"--tier", "file:/var/tmp"}, "--tier", "file:PATH:SIZE"},
        {{"--tier", "file:/var/tmp:"}, "--tier", "file:PATH:SIZE"},
        {{"--tier", "file:/var/tmp:huge"}, "--tier", "256M"},
        {{"--policy", "lru"}, "--policy", "s3fifo"},
        {{"--prefetch", "all"}, "--prefetch", "adaptive"},
        {{"--backing", "hugetlb"}, "--backing", "private, memfd"},
        {{"--memory", "mine"}, "--memory", "library, embedder"},
        {{"--shards", "65"}, "--shards", "from 1 to 64"},
        {{"--shards", "4", "--size", "8K"}, "--shards", "at most one shard per page"},
        {{"--workers", "0"}, "--workers", "from 1 to 64"},
        {{"--seed", "x"}, "--seed", "from 0 to 18446744073709551615"},
        {{"--discard-percent", "200"}, "--discard-percent", "from 0 to 100"},
        {{"--discard-by", "magic"}, "--discard-by", "api, madvise, both"},
        {{"--discard-by", "both", "--backing", "memfd"}, "--discard-by", "--backing private"},
        {{"--json=yes"}, "--json", "no value"},
        {{"--config", "/nonexistent/file"}, "--config", "/nonexistent/file"},
    };
    for (const refused& c : cases) {
        const std::string message = refusal(c.given);
        INFO("arguments: " << c.given.front() << " " << c.given.back() << "\nmessage: " << message);
        CHECK(message.rfind(c.option + ": ", 0) == 0);
        CHECK(message.find(c.allowed) != std::string::npos);
    }
}

TEST_CASE("overcommit: options arrive where they belong", "[overcommit]") {
    const options o = parse_options(arguments{
        "--size", "64M",       "--limit=16M",    "--threads",       "3",    "--seconds",
        "1.5",    "--pattern", "scan+zipf",      "--write-percent", "12.5", "--compressibility",
        "3",      "--backing", "memfd",          "--shards",        "2",    "--workers",
        "4",      "--policy",  "fifo",           "--prefetch",      "off",  "--seed",
        "9",      "--json",    "--limit-changes"});
    CHECK(o.region.size == 64u << 20);
    CHECK(o.manager.limit == 16u << 20);
    CHECK(o.threads == 3);
    CHECK(o.run_time == std::chrono::milliseconds(1500));
    CHECK(o.pattern.kind == pattern_kind::scan_zipf);
    CHECK(o.pattern.pages == 16384);
    CHECK(o.write_percent == 12.5);
    CHECK(o.fill.compressibility == 3.0);
    CHECK(o.region.kind == uffdmm::backing::shared_memory);
    CHECK(o.region.shards == 2);
    CHECK(o.manager.workers == 4);
    CHECK(o.region.policy == "fifo");
    CHECK(o.region.prefetch == "off");
    CHECK(o.fill.seed == 9);
    CHECK(o.pattern.seed == 9);
    CHECK(o.json);
    CHECK(o.limit_changes);
    CHECK_FALSE(o.quiet);
}

TEST_CASE("overcommit: tiers keep their order and get names that differ", "[overcommit]") {
    const options o = parse_options(
        arguments{"--tier", "ram:8M", "--tier", "ram:4M:zstd", "--tier", "file:/var/tmp/a:b:1G"});
    REQUIRE(o.manager.tiers.size() == 3);
    const auto& first = std::get<uffdmm::ram_tier_config>(o.manager.tiers[0]);
    const auto& second = std::get<uffdmm::ram_tier_config>(o.manager.tiers[1]);
    const auto& third = std::get<uffdmm::file_tier_config>(o.manager.tiers[2]);
    CHECK(first.size == 8u << 20);
    CHECK(first.compression == uffdmm::codec::lz4);
    CHECK(first.name == "ram");
    CHECK(second.compression == uffdmm::codec::zstd);
    CHECK(second.name == "ram2");
    CHECK(third.path == "/var/tmp/a:b");
    CHECK(third.size == 1u << 30);
}

TEST_CASE("overcommit: without --tier the tiers can hold the whole region", "[overcommit]") {
    const options o = parse_options(arguments{"--size", "2G"});
    REQUIRE(o.manager.tiers.size() == 2);
    CHECK(std::get<uffdmm::file_tier_config>(o.manager.tiers[1]).size >= o.region.size);
}

TEST_CASE("overcommit: options override the configuration file, wherever they stand",
          "[overcommit]") {
    const temporary_file file(R"({"limit": "32M", "workers": 2, "tiers": [{"kind": "ram"}],
        "regions": [{"size": "128M", "policy": "fifo"}]})");
    const options o = parse_options(arguments{"--workers", "3", "--config", file.name()});
    CHECK(o.manager.limit == 32u << 20);
    CHECK(o.manager.workers == 3);
    CHECK(o.region.size == 128u << 20);
    CHECK(o.region.policy == "fifo");
    CHECK(o.manager.tiers.size() == 1);
    CHECK(parse_options(arguments{"--config", file.name(), "--tier", "file:/var/tmp:1G"})
              .manager.tiers.size() == 1);
}

TEST_CASE("overcommit: a configuration that does not fit is refused as --config", "[overcommit]") {
    const temporary_file wrong_key(R"({"limit": "32M", "regons": []})");
    CHECK(refusal({"--config", wrong_key.name()}).rfind("--config: ", 0) == 0);
    CHECK(refusal({"--config", wrong_key.name()}).find("regons") != std::string::npos);
    const temporary_file two(R"({"limit": "32M", "regions": [{"size": "1M"}, {"size": "1M"}]})");
    CHECK(refusal({"--config", two.name()}).find("one region; it has 2") != std::string::npos);
}

TEST_CASE("overcommit: the library's messages are told by option", "[overcommit]") {
    CHECK(by_option("limit: too small") == "--limit: too small");
    CHECK(by_option("tiers[0].path (\"/x\"): no") == "--tier: tiers[0].path (\"/x\"): no");
    CHECK(by_option("kind: no") == "--backing: kind: no");
    CHECK(by_option("--limit: once") == "--limit: once");
    CHECK(by_option("userfaultfd: not permitted") == "userfaultfd: not permitted");
}

TEST_CASE("overcommit: --help names every option", "[overcommit]") {
    const std::string text = usage();
    for (const char* option : {"--size", "--limit", "--tier", "--config", "--pattern", "--json",
                               "--discard-percent", "--limit-changes", "--help"})
        CHECK(text.find(option) != std::string::npos);
}

} // namespace
} // namespace overcommit
