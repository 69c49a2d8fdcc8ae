// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/engine/buffer_pool.hpp"

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "support/catch.hpp"
#include "support/seed.hpp"

namespace {

using namespace uffdmm;

struct taken_run {
    std::byte* at;
    page_count n;
};

[[nodiscard]] bool overlap(const taken_run& a, const taken_run& b) {
    return a.at < b.at + b.n * page_size && b.at < a.at + a.n * page_size;
}

TEST_CASE("buffer_pool: runs are aligned, inside the pool and never overlap") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(test::seed());
    buffer_pool pool(200); // four words of 64
    REQUIRE(pool.memory_bytes() == 0);
    std::vector<taken_run> taken;
    page_count held = 0;
    for (int i = 0; i < 20'000; ++i) {
        if (random() % 2 == 0) {
            const auto n = static_cast<page_count>(1 + random() % 64);
            std::byte* const at = pool.take(n);
            if (at == nullptr) {
                REQUIRE(held + n > 64); // an empty pool gives any run
                continue;
            }
            REQUIRE(reinterpret_cast<std::uintptr_t>(at) % page_size == 0);
            for (const taken_run& other : taken)
                REQUIRE_FALSE(overlap(other, {at, n}));
            at[0] = std::byte{1}; // it is memory
            at[n * page_size - 1] = std::byte{1};
            taken.push_back({at, n});
            held += n;
        } else if (!taken.empty()) {
            const std::size_t which = random() % taken.size();
            pool.give_back(taken[which].at, taken[which].n);
            held -= taken[which].n;
            taken[which] = taken.back();
            taken.pop_back();
        }
        REQUIRE(pool.all_free() == taken.empty());
        REQUIRE(held <= 256);
        REQUIRE(pool.memory_bytes() >= bytes_of(held));
        REQUIRE(pool.memory_bytes() <= 256 * page_size);
    }
}

TEST_CASE("buffer_pool: a run is found wherever its pages are free, however narrow the gap") {
    for (page_count n = 1; n <= 64; ++n) {
        for (page_count gap = 0; gap + n <= 64; gap += 7) {
            buffer_pool pool(64);
            std::byte* const base = pool.take(64);
            REQUIRE(base != nullptr);
            REQUIRE(pool.take(1) == nullptr);
            pool.give_back(base + gap * page_size, n);
            REQUIRE(pool.take(n) == base + gap * page_size);
            REQUIRE(pool.take(1) == nullptr);
        }
    }
}

TEST_CASE("buffer_pool: what a burst leaves beyond the last buffer in use is given back") {
    buffer_pool pool(256);
    std::byte* const first = pool.take(64);
    std::byte* const second = pool.take(64);
    second[0] = std::byte{1};
    REQUIRE(pool.memory_bytes() == 128 * page_size);
    pool.give_back(first, 64);
    REQUIRE_FALSE(pool.trim());
    pool.give_back(second + page_size, 63);
    REQUIRE(pool.trim());
    REQUIRE(pool.memory_bytes() == 65 * page_size);
    REQUIRE(second[0] == std::byte{1}); // in use
    pool.give_back(second, 1);
    REQUIRE(pool.trim());
    REQUIRE(pool.memory_bytes() == buffer_pool::kept * page_size);
    REQUIRE_FALSE(pool.trim());
    REQUIRE(second[0] == std::byte{0}); // the memory is gone
    REQUIRE(pool.take(64) == first);
    REQUIRE(pool.memory_bytes() == 64 * page_size);
}

TEST_CASE("buffer_pool: single free pages do not make a run") {
    buffer_pool pool(64);
    std::byte* const base = pool.take(64);
    for (std::size_t i = 0; i < 64; i += 2)
        pool.give_back(base + i * page_size, 1);
    REQUIRE(pool.take(2) == nullptr);
    pool.give_back(base + 33 * page_size, 1); // 32, 33, 34
    REQUIRE(pool.take(4) == nullptr);
    REQUIRE(pool.take(3) == base + 32 * page_size);
}

} // namespace
