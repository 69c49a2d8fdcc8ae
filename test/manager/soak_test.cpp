// SPDX-License-Identifier: BSD-3-Clause

/// The library against a reference model on the real kernel, with threads: every page has an owner
/// thread that knows its version, all of them write, verify and discard, while another changes the
/// limit, pins, evicts, prefetches and queries. UFFDMM_TEST_SEED repeats the choices,
/// UFFDMM_SOAK_SECONDS makes it longer.

#include <chrono>
#include <cstdlib>
#include <random>

#include "support/managed_world.hpp"
#include "support/seed.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

constexpr unsigned owners = 4;

class soak {
  public:
    soak(backing kind, unsigned shards, std::chrono::milliseconds length)
        : m_(config()), r_(m_.add_region(region(kind, shards))), versions_(pages_in(r_), 0),
          end_(std::chrono::steady_clock::now() + length) {}

    std::uint64_t run() {
        std::vector<std::thread> threads;
        for (unsigned t = 0; t < owners; ++t)
            threads.emplace_back([this, t] { guest(t); });
        threads.emplace_back([this] { operate(); });
        for (std::thread& t : threads)
            t.join();
        for (std::uint64_t i = 0; i < versions_.size(); ++i)
            verify(i, "at the end");
        return wrong_;
    }
    [[nodiscard]] stats statistics() const { return m_.statistics(); }

  private:
    static manager_config config() {
        (void)probe();
        manager_config c;
        c.limit = 24 * mib;
        c.workers = 2;
        ram_tier_config ram;
        ram.size = 6 * mib;
        file_tier_config file;
        file.path = "/var/tmp";
        file.size = 96 * mib;
        c.tiers = {ram, file};
        return c;
    }
    static region_config region(backing kind, unsigned shards) {
        region_config c;
        c.size = 64 * mib;
        c.kind = kind;
        c.shards = shards;
        return c;
    }
    [[nodiscard]] bool over() const { return std::chrono::steady_clock::now() >= end_; }

    /// Says what is there instead: which version of which page, or zeros.
    void complain(std::uint64_t page, const char* where) {
        wrong_.fetch_add(1);
        const std::byte* p = page_of(r_, page);
        std::fprintf(
            stderr,
            "soak: %s: page %llu should hold version %u and holds version %llu of page %llu%s\n",
            where, static_cast<unsigned long long>(page), versions_[page],
            static_cast<unsigned long long>(load(p + 8)), static_cast<unsigned long long>(load(p)),
            all_zero(p) ? " (zeros)" : "");
    }

    void verify(std::uint64_t page, const char* where) {
        const std::byte* p = page_of(r_, page);
        if (versions_[page] == 0 ? !all_zero(p) : !stamp_holds(p, page, versions_[page]))
            complain(page, where);
    }

    /// Pages page % owners == t belong to thread t, but discards work on blocks of 64 * owners
    /// pages that are the thread's alone.
    void guest(unsigned t) {
        std::mt19937_64 random(seed() + t);
        const std::uint64_t blocks = versions_.size() / block;
        while (!over()) {
            const std::uint64_t mine = (random() % (blocks / owners)) * owners + t;
            const std::uint64_t first = mine * block;
            switch (random() % 16) {
            case 0:
                discard(first, random() % 2 == 0);
                break;
            case 1:
                sweep(first);
                break;
            default:
                touch(first + random() % block, random() % 2 == 0);
                break;
            }
        }
    }
    void touch(std::uint64_t page, bool write) {
        verify(page, "touch");
        if (write)
            stamp(page_of(r_, page), page, ++versions_[page]);
    }
    void sweep(std::uint64_t first) {
        for (std::uint64_t i = first; i < first + block; ++i)
            touch(i, i % 3 == 0);
    }
    void discard(std::uint64_t first, bool whole) {
        const std::uint64_t n = whole ? block : block / 4;
        if (!r_.discard(first * page_size, n * page_size))
            return; // pinned
        for (std::uint64_t i = first; i < first + n; ++i) {
            versions_[i] = 0;
            verify(i, whole ? "after discarding a block" : "after discarding a quarter");
        }
    }

    /// Limit changes and everything the API has, from a thread that owns no page.
    void operate() {
        std::mt19937_64 random(seed() + 100);
        while (!over()) {
            const byte_count offset = random() % versions_.size() * page_size;
            const byte_count most = r_.size() - offset;
            const byte_count length = std::min<byte_count>((1 + random() % 256) * page_size, most);
            switch (random() % 6) {
            case 0:
                (void)m_.set_limit((18 + random() % 14) * mib);
                break;
            case 1:
                if (r_.pin(offset, length) && !r_.unpin(offset, length))
                    wrong_.fetch_add(1);
                break;
            case 2:
                (void)r_.evict(offset, length);
                break;
            case 3:
                (void)r_.prefetch(offset, length);
                break;
            case 4:
                (void)r_.query(offset, length);
                break;
            default:
                (void)m_.statistics();
                break;
            }
        }
    }

    static constexpr std::uint64_t block = 64;

    manager m_;
    uffdmm::region& r_;
    std::vector<std::uint32_t> versions_; ///< each written by its owner only
    std::chrono::steady_clock::time_point end_;
    std::atomic<std::uint64_t> wrong_{0};
};

std::chrono::milliseconds soak_time() {
    const char* wanted = std::getenv("UFFDMM_SOAK_SECONDS");
    return wanted != nullptr ? std::chrono::milliseconds(std::atoi(wanted) * 1000)
                             : std::chrono::milliseconds(3000);
}

} // namespace

TEST_CASE("soak: four guest threads, discards, pins and limit changes lose no byte") {
    UFFDMM_INFO_SEED();
    const auto kind = GENERATE(backing::private_anonymous, backing::shared_memory);
    const auto shards = GENERATE(1u, 2u);
    soak s(kind, shards, soak_time());
    INFO((kind == backing::shared_memory ? "shared, " : "private, ") << shards << " shards");
    CHECK(s.run() == 0);
    CHECK(s.statistics().poisoned_pages == 0);
    CHECK(s.statistics().evicted_pages > 0);
}
