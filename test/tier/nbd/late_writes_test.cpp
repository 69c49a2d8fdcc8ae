// SPDX-License-Identifier: BSD-3-Clause
#include "support/catch.hpp"
#include "tier/nbd/bounce_buffers.hpp"
#include "tier/nbd/late_writes.hpp"

using namespace uffdmm;

TEST_CASE("late_writes: a place is named as long as a late write may hit it, and to the byte") {
    late_writes late;
    CHECK(late.empty());
    late.add(8192, 4096, 100);
    CHECK(late.may_hit(8192, 4096, 50));
    CHECK(late.may_hit(0, 8193, 50));
    CHECK(late.may_hit(12287, 1, 50));
    CHECK_FALSE(late.may_hit(0, 8192, 50));
    CHECK_FALSE(late.may_hit(12288, 4096, 50));
    CHECK_FALSE(late.may_hit(8192, 4096, 100));
    CHECK(late.empty());
}

TEST_CASE("late_writes: a place that is hit twice is named until the later time") {
    late_writes late;
    late.add(0, 4096, 100);
    late.add(0, 4096, 300);
    CHECK(late.may_hit(0, 4096, 200));
    CHECK_FALSE(late.may_hit(0, 4096, 300));
}

TEST_CASE("bounce_buffers: each is given out once, and memory counts those in use at once") {
    bounce_buffers buffers;
    CHECK(buffers.memory_bytes() == 0);
    std::vector<std::byte*> taken;
    for (std::size_t i = 0; i < bounce_buffers::most; ++i)
        taken.push_back(buffers.take());
    CHECK(buffers.take() == nullptr);
    CHECK(buffers.memory_bytes() == bounce_buffers::most * bounce_buffers::bytes);
    std::sort(taken.begin(), taken.end());
    CHECK(std::unique(taken.begin(), taken.end()) == taken.end());
    buffers.give_back(taken.front());
    CHECK(buffers.take() == taken.front());
}
