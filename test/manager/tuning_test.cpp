// SPDX-License-Identifier: BSD-3-Clause
#include "manager/tuning.hpp"

#include "support/catch.hpp"

namespace {

using namespace uffdmm;

unsigned staged_percent(std::vector<tier_config> tiers, unsigned asked = 0) {
    manager_config config;
    config.tiers = std::move(tiers);
    config.staged_percent = asked;
    return tuning_of(config).staged_percent;
}

} // namespace

TEST_CASE("tuning: few pages are staged in front of compressed RAM, more in front of a disk") {
    CHECK(staged_percent({}) == 3);
    CHECK(staged_percent({ram_tier_config{}}) == 3);
    CHECK(staged_percent({ram_tier_config{}, file_tier_config{}}) == 3);
    CHECK(staged_percent({file_tier_config{}}) == 12);
    CHECK(staged_percent({file_tier_config{}, ram_tier_config{}}) == 12);
    CHECK(staged_percent({nbd_tier_config{}}) == 12);
    CHECK(staged_percent({custom_tier_config{}}) == 12);
}

TEST_CASE("tuning: a share of staged pages that is asked for is taken") {
    CHECK(staged_percent({}, 12) == 12);
    CHECK(staged_percent({file_tier_config{}}, 1) == 1);
}

TEST_CASE("tuning: the other settings are passed on") {
    manager_config config;
    config.low_watermark_permille = 7;
    config.high_watermark_permille = 9;
    config.read_retry_time = std::chrono::milliseconds(3);
    config.when_full = on_swap_full::wait;
    const shard_tuning tuning = tuning_of(config);
    CHECK(tuning.low_watermark_permille == 7);
    CHECK(tuning.high_watermark_permille == 9);
    CHECK(tuning.read_retry_ns == 3'000'000);
    CHECK(tuning.when_full == on_swap_full::wait);
}
