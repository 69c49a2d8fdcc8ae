// SPDX-License-Identifier: BSD-3-Clause
#include "sized_struct.hpp"

#include <array>
#include <cstdint>

#include "support/catch.hpp"
#include "uffdmm.h"

using namespace uffdmm::shim;

namespace {

/// The struct of three versions of a library.
struct options_1 {
    std::size_t struct_size;
    std::uint64_t a;
};
struct options_2 {
    std::size_t struct_size;
    std::uint64_t a;
    std::uint64_t b;
};
struct options_3 {
    std::size_t struct_size;
    std::uint64_t a;
    std::uint64_t b;
    std::uint64_t c;
};
const options_2 defaults{sizeof(options_2), 10, 20};

template <typename Given>
const options_2* as_2(const Given& given) {
    return reinterpret_cast<const options_2*>(&given);
}

} // namespace

TEST_CASE("abi: an older program's struct gets the defaults for what it lacks", "[abi]") {
    const options_1 old{sizeof(options_1), 1};
    const options_2 known = read_known(as_2(old), defaults, "options");
    CHECK(known.a == 1);
    CHECK(known.b == 20);
    CHECK_FALSE(has_unknown_tail(as_2(old)));
}

TEST_CASE("abi: a newer program that uses no newer option is understood", "[abi]") {
    const options_3 newer{sizeof(options_3), 1, 2, 0};
    const options_2 known = read_known(as_2(newer), defaults, "options");
    CHECK(known.a == 1);
    CHECK(known.b == 2);
    CHECK_NOTHROW(refuse_unknown_tail(as_2(newer), "options"));
}

TEST_CASE("abi: a newer program that uses a newer option is refused", "[abi]") {
    const options_3 newer{sizeof(options_3), 1, 2, 3};
    CHECK_THROWS_AS(refuse_unknown_tail(as_2(newer), "options"), too_new);
}

TEST_CASE("abi: a size that no struct can have is refused before anything is read", "[abi]") {
    const auto read = [](std::size_t size) {
        const options_2 given{size, 1, 2};
        return read_known(&given, defaults, "options");
    };
    CHECK_THROWS_AS(read(0), uffdmm::setup_error);
    CHECK_THROWS_AS(read(7), uffdmm::setup_error);
    CHECK_THROWS_AS(read(sizeof(options_2) - 1), uffdmm::setup_error);
    CHECK_THROWS_AS(read(largest_struct + 8), too_new);
    CHECK_THROWS_WITH(read(0), Catch::Contains("options.struct_size") && Catch::Contains("24"));
}

TEST_CASE("abi: a result is written only as far as an older program's struct goes", "[abi]") {
    struct {
        options_1 given{0, 0};
        std::uint64_t guard = 99;
    } out;
    write_struct(defaults, sizeof(options_1), reinterpret_cast<options_2*>(&out.given), "stats");
    CHECK(out.given.struct_size == sizeof(options_1));
    CHECK(out.given.a == 10);
    CHECK(out.guard == 99);
}

TEST_CASE("abi: a newer program finds zeros where this library knows nothing", "[abi]") {
    options_3 out{0, 1, 2, 3};
    write_struct(defaults, sizeof(options_3), reinterpret_cast<options_2*>(&out), "stats");
    CHECK(out.struct_size == sizeof(options_3));
    CHECK(out.b == 20);
    CHECK(out.c == 0);
}

// The sizes of version 0.1. A struct may grow at its end, never change otherwise: then older
// programs' structs remain prefixes.
TEST_CASE("abi: structs are laid out without gaps, as in version 0.1", "[abi]") {
    CHECK(offsetof(uffdmm_event, address) == 24);
    CHECK(offsetof(uffdmm_event_handler, free_user_data) == 24);
    CHECK(offsetof(uffdmm_tier_context, shard_number) == 12);
    CHECK(offsetof(uffdmm_tier_usage, capacity_bytes) == 40);
    CHECK(offsetof(uffdmm_tier_ops, coldest) == 80);
    CHECK(offsetof(uffdmm_tier_options, free_user_data) == 80);
    CHECK(offsetof(uffdmm_tier_options, shared_table) == 136);
    CHECK(offsetof(uffdmm_manager_options, placement) == 76);
    CHECK(offsetof(uffdmm_region_options, huge_pages) == 76);
    CHECK(offsetof(uffdmm_run, tier) == 28);
    CHECK(offsetof(uffdmm_stats, faults_by_resolution) == 120);
    CHECK(offsetof(uffdmm_stats, tier_count) == 384);
    CHECK(offsetof(uffdmm_stats, one_pass_faults) == 392);
    CHECK(offsetof(uffdmm_stats, migration_reads) == 400);
    CHECK(offsetof(uffdmm_stats, huge_installs) == 408);
    CHECK(offsetof(uffdmm_tier_stats, degraded) == 112);
}
