// SPDX-License-Identifier: BSD-3-Clause
#include <string>
#include <vector>

#include "run/match.hpp"
#include "support/catch.hpp"
#include "uffdmm/result.hpp"

using preload::match_rule;
using preload::memory_kind;
using preload::parse_rule;

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

match_rule rule(const char* text) {
    return parse_rule("--match", text);
}

std::string refusal_of(const char* text) {
    try {
        (void)rule(text);
    } catch (const uffdmm::setup_error& e) {
        return e.what();
    }
    return "";
}

} // namespace

TEST_CASE("match: a rule without conditions fits everything") {
    const match_rule r = rule("leave");
    CHECK_FALSE(r.take);
    CHECK(r.fits(memory_kind::block, "", 1));
    CHECK(r.fits(memory_kind::memfd, "name", ~std::size_t{0}));
    CHECK(rule("take").take);
}

TEST_CASE("match: all conditions of a rule have to fit") {
    const match_rule r = rule("take,kind=memfd|file,name=*ram*,size=1M..2M");
    CHECK(r.fits(memory_kind::memfd, "pc.ram0", mebibyte));
    CHECK(r.fits(memory_kind::file, "ram", 2 * mebibyte));
    CHECK_FALSE(r.fits(memory_kind::shared, "ram", mebibyte));
    CHECK_FALSE(r.fits(memory_kind::memfd, "rom", mebibyte));
    CHECK_FALSE(r.fits(memory_kind::memfd, "ram", mebibyte - 1));
    CHECK_FALSE(r.fits(memory_kind::memfd, "ram", 2 * mebibyte + 1));
}

TEST_CASE("match: sizes are exact, or bounded on either side") {
    CHECK(rule("leave,size=4M").fits(memory_kind::block, "", 4 * mebibyte));
    CHECK_FALSE(rule("leave,size=4M").fits(memory_kind::block, "", 4 * mebibyte + 1));
    CHECK(rule("leave,size=4M..").fits(memory_kind::block, "", ~std::size_t{0}));
    CHECK(rule("leave,size=..4M").fits(memory_kind::block, "", 0));
    CHECK_FALSE(rule("leave,size=..4M").fits(memory_kind::block, "", 4 * mebibyte + 1));
}

TEST_CASE("match: patterns know * and ?, and stand for the whole name") {
    const auto fits = [](const std::string& pattern, const char* name) {
        return rule(("leave,name=" + pattern).c_str()).fits(memory_kind::memfd, name, 1);
    };
    CHECK(fits("ram", "ram"));
    CHECK_FALSE(fits("ram", "ram0"));
    CHECK_FALSE(fits("am", "ram"));
    CHECK(fits("r?m*", "ram0"));
    CHECK(fits("*a*a*b", "xaxaab"));
    CHECK_FALSE(fits("*a*a*b", "xaxb"));
    CHECK(fits("*", ""));
    CHECK_FALSE(fits("?", ""));
}

TEST_CASE("match: the first rule that fits decides") {
    const std::vector<match_rule> rules{rule("leave,name=a*"), rule("take,name=*b"),
                                        rule("leave,kind=block")};
    CHECK(preload::first_fit(rules, memory_kind::memfd, "ab", 1) == &rules[0]);
    CHECK(preload::first_fit(rules, memory_kind::memfd, "cb", 1) == &rules[1]);
    CHECK(preload::first_fit(rules, memory_kind::memfd, "c", 1) == nullptr);
}

TEST_CASE("match: what a bad rule may be instead is said") {
    for (const char* text : {"", "keep", "take,", "take,,", "take,colour=red",
                             "take,name=", "take,kind=memfd,", ",take", "TAKE"})
        CHECK(refusal_of(text).find("take or leave, then any of ,kind=KIND") != std::string::npos);
    for (const char* text : {"take,kind=", "take,kind=tape", "take,kind=memfd|tape", "take,kind=|"})
        CHECK(refusal_of(text).find("anonymous, reserved, shared, memfd, file, block") !=
              std::string::npos);
    for (const char* text : {"take,size=", "take,size=.."})
        CHECK(refusal_of(text).find("MIN..MAX") != std::string::npos);
    CHECK(refusal_of("take,size=huge").find("huge") != std::string::npos);
    CHECK(refusal_of("take,size=2M..1M").find("smallest size") != std::string::npos);
    CHECK(refusal_of("take,size=4K..1M").find("64K") != std::string::npos);
    CHECK(refusal_of("leave,size=4K..1M").empty());
    CHECK(refusal_of("take,kind=tape").starts_with("--match: \""));
}
