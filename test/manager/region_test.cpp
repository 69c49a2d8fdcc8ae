// SPDX-License-Identifier: BSD-3-Clause

/// What can be asked of a region: discard, pin, query, prefetch, evict, wait until idle.

#include <sys/mman.h>

#include "support/managed_world.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

struct setup {
    explicit setup(backing kind = backing::private_anonymous, byte_count size = 16 * mib,
                   byte_count limit = 12 * mib, unsigned shards = 2)
        : m(config_of(limit)), r(m.add_region(region_of(kind, size, shards))) {}

    static manager_config config_of(byte_count limit) {
        (void)probe();
        manager_config config;
        config.limit = limit;
        return config;
    }
    static region_config region_of(backing kind, byte_count size, unsigned shards) {
        region_config config;
        config.size = size;
        config.kind = kind;
        config.shards = shards;
        config.prefetch = "off"; // what is in memory is what was asked for
        return config;
    }

    manager m;
    region& r;
};

byte_count bytes_in_state(region& r, residency state) {
    byte_count bytes = 0;
    const auto runs = r.query(0, r.size());
    for (const residency_run& run : runs.value())
        bytes += run.state == state ? run.length : 0;
    return bytes;
}

constexpr std::chrono::seconds patience{30};

} // namespace

TEST_CASE("region: discarded pages read as zeros and free their memory") {
    const auto kind = GENERATE(backing::private_anonymous, backing::shared_memory);
    setup s(kind);
    stamp_all(s.r, 1);
    CHECK(s.r.discard(4 * mib, 8 * mib).ok());
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < pages_in(s.r); ++i) {
        const bool discarded = i >= 4 * mib / page_size && i < 12 * mib / page_size;
        const std::byte* p = page_of(s.r, i);
        wrong += (discarded ? all_zero(p) : stamp_holds(p, i, 1)) ? 0 : 1;
    }
    CHECK(wrong == 0);
    CHECK(s.m.statistics().discarded_pages >= 8 * mib / page_size);
}

TEST_CASE("region: a discarded range is untouched again") {
    const auto kind = GENERATE(backing::private_anonymous, backing::shared_memory);
    setup s(kind);
    stamp_all(s.r, 1);
    CHECK(s.r.discard(0, s.r.size()).ok());
    CHECK(bytes_in_state(s.r, residency::untouched) == s.r.size());
    REQUIRE(s.m.wait_until_idle(patience).ok());
    CHECK(s.m.statistics().resident_bytes == 0);
    CHECK(s.m.statistics().tiers[1].pages == 0);
}

TEST_CASE("region: madvise by the embedder is a discard") {
    setup s;
    stamp_all(s.r, 1);
    REQUIRE(::madvise(s.r.data(), 8 * mib, MADV_DONTNEED) == 0);
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < pages_in(s.r); ++i) {
        const std::byte* p = page_of(s.r, i);
        wrong += (i < 8 * mib / page_size ? all_zero(p) : stamp_holds(p, i, 1)) ? 0 : 1;
    }
    CHECK(wrong == 0);
}

TEST_CASE("region: madvise_self_deadlock: discards from several threads end, while all fault") {
    setup s;
    std::vector<std::thread> threads;
    std::atomic<std::uint64_t> wrong{0};
    for (unsigned t = 0; t < 4; ++t)
        threads.emplace_back([&s, &wrong, t] {
            const std::uint64_t quarter = pages_in(s.r) / 4;
            for (std::uint64_t round = 1; round <= 6; ++round) {
                for (std::uint64_t i = t * quarter; i < (t + 1) * quarter; ++i)
                    stamp(page_of(s.r, i), i, round);
                for (std::uint64_t i = t * quarter; i < (t + 1) * quarter; ++i)
                    if (!stamp_holds(page_of(s.r, i), i, round))
                        ++wrong;
                std::byte* const start = page_of(s.r, t * quarter);
                if (::madvise(start, quarter * page_size, MADV_DONTNEED) != 0)
                    ++wrong;
                if (!all_zero(start))
                    ++wrong;
            }
        });
    for (std::thread& t : threads)
        t.join();
    CHECK(wrong == 0);
}

TEST_CASE("region: pinned pages stay resident through eviction, until as many unpins") {
    const auto kind = GENERATE(backing::private_anonymous, backing::shared_memory);
    setup s(kind);
    stamp_all(s.r, 1);
    // Across the border of the two shards.
    const byte_count at = 8 * mib - 512 * 1024;
    REQUIRE(s.r.pin(at, mib).ok());
    REQUIRE(s.r.pin(at, mib).ok());
    REQUIRE(s.r.evict(0, s.r.size()).ok());
    CHECK(bytes_in_state(s.r, residency::resident) == mib);
    CHECK(s.m.statistics().pinned_pages == mib / page_size);
    CHECK(s.r.unpin(at, mib).ok());
    REQUIRE(s.r.evict(0, s.r.size()).ok());
    CHECK(bytes_in_state(s.r, residency::resident) == mib);
    CHECK(s.r.unpin(at, mib).ok());
    CHECK(s.m.statistics().pinned_pages == 0);
    CHECK(s.r.unpin(at, mib).code() == errc::wrong_state);
    REQUIRE(s.r.evict(0, s.r.size()).ok());
    CHECK(bytes_in_state(s.r, residency::resident) == 0);
    CHECK(wrong_pages(s.r, 1) == 0);
}

TEST_CASE("region: pinned_pages: a system call that writes without faulting meets pinned pages") {
    setup s;
    stamp_all(s.r, 1);
    REQUIRE(s.r.pin(0, mib).ok());
    int pipes[2];
    REQUIRE(::pipe(pipes) == 0);
    const char text[] = "from a device";
    REQUIRE(::write(pipes[1], text, sizeof text) == sizeof text);
    REQUIRE(::read(pipes[0], s.r.data() + 64, sizeof text) == sizeof text);
    CHECK(s.r.unpin(0, mib).ok());
    REQUIRE(s.r.evict(0, s.r.size()).ok());
    CHECK(std::memcmp(s.r.data() + 64, text, sizeof text) == 0);
    ::close(pipes[0]);
    ::close(pipes[1]);
}

TEST_CASE("region: pinning more than the limit holds is refused, and nothing stays pinned") {
    setup s(backing::private_anonymous, 32 * mib, 12 * mib, 2);
    CHECK(s.r.pin(0, 32 * mib).code() == errc::limit_too_small);
    CHECK(s.m.statistics().pinned_pages == 0);
    stamp_all(s.r, 1);
    CHECK(wrong_pages(s.r, 1) == 0);
}

TEST_CASE("region: query covers the range in order, and tells what was evicted") {
    setup s;
    for (std::uint64_t i = 0; i < mib / page_size; ++i)
        stamp(page_of(s.r, i), i, 1);
    REQUIRE(s.r.evict(0, 512 * 1024).ok());
    const auto runs = s.r.query(0, s.r.size());
    REQUIRE(runs.ok());
    byte_count at = 0;
    for (const residency_run& run : runs.value()) {
        CHECK(run.offset == at);
        at += run.length;
    }
    CHECK(at == s.r.size());
    CHECK(runs.value().front().state == residency::swapped);
    CHECK(runs.value().front().tier == 1);
    CHECK(runs.value().front().length == 512 * 1024);
    CHECK(bytes_in_state(s.r, residency::resident) == 512 * 1024);
    CHECK(bytes_in_state(s.r, residency::untouched) == 15 * mib);
}

TEST_CASE("region: prefetch brings swapped pages in without a fault") {
    setup s;
    for (std::uint64_t i = 0; i < 2 * mib / page_size; ++i)
        stamp(page_of(s.r, i), i, 1);
    const auto evicted = s.r.evict(0, 2 * mib);
    REQUIRE(evicted.ok());
    CHECK(evicted.value() == 2 * mib);
    CHECK(bytes_in_state(s.r, residency::swapped) == 2 * mib);
    REQUIRE(s.r.prefetch(0, 2 * mib).ok());
    REQUIRE(s.m.wait_until_idle(patience).ok());
    CHECK(bytes_in_state(s.r, residency::resident) == 2 * mib);
    for (std::uint64_t i = 0; i < 2 * mib / page_size; ++i)
        REQUIRE(stamp_holds(page_of(s.r, i), i, 1));
}

TEST_CASE("region: move_limits: windows come in across mappings that the embedder split") {
    const auto kind = GENERATE(backing::private_anonymous, backing::shared_memory);
    manager m(setup::config_of(12 * mib));
    region_config config = setup::region_of(kind, 16 * mib, 1);
    config.prefetch = "sequential";
    region& r = m.add_region(config);
    stamp_all(r, 1);
    CHECK(r.evict(0, r.size()).ok());
    for (std::uint64_t i = 40; i < pages_in(r); i += 100)
        REQUIRE(::mprotect(page_of(r, i), page_size, PROT_READ) == 0);
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < pages_in(r); ++i)
        wrong += stamp_holds(page_of(r, i), i, 1) ? 0 : 1;
    CHECK(wrong == 0);
    CHECK(m.statistics().prefetched_pages > 0);
}

TEST_CASE("region: ranges that are misaligned or outside are refused") {
    setup s;
    CHECK(s.r.discard(1, page_size).code() == errc::invalid_argument);
    CHECK(s.r.discard(0, 100).code() == errc::invalid_argument);
    CHECK(s.r.pin(s.r.size(), page_size).code() == errc::invalid_argument);
    CHECK(s.r.pin(0, s.r.size() + page_size).code() == errc::invalid_argument);
    CHECK(s.r.query(~byte_count{4095}, page_size).code() == errc::invalid_argument);
    CHECK(s.r.evict(page_size, ~byte_count{4095}).code() == errc::invalid_argument);
    CHECK(s.r.prefetch(s.r.size(), 0).ok());
}

TEST_CASE("region: wait until idle ends when the rest is done, and times out otherwise") {
    setup s;
    stamp_all(s.r, 1);
    CHECK(s.m.wait_until_idle(patience).ok());
}
