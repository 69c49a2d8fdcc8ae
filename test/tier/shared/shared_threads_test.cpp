// SPDX-License-Identifier: BSD-3-Clause

/// Shards of the destination adopt and release, each on its thread, while the volume is accepted.

#include <atomic>
#include <random>
#include <thread>

#include "support/seed.hpp"
#include "tier/shared/shared_rig.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

constexpr unsigned shards = 3;
constexpr std::size_t pages = 900;

/// A page of the source that a shard has adopted.
struct adopted_page {
    slot_id slot;
    std::uint64_t key;
};

void adopt_some(shard_rig& shard, const std::vector<location>& places, unsigned number, bool mixed,
                std::vector<adopted_page>& mine) {
    for (std::size_t i = 0; i < places.size(); ++i) {
        // By page: several shards have slots in an extent. By extent: one has.
        if ((mixed ? i : i / 64) % shards != number)
            continue;
        const auto slot = shard.tier().adopt(places[i], i);
        UFFDMM_CHECK(slot.ok(), "a location is adopted");
        mine.push_back({slot.value(), i});
    }
}

void release_some(shard_rig& shard, std::vector<adopted_page>& mine, std::mt19937_64 random) {
    std::erase_if(mine, [&](const adopted_page& page) {
        if (random() % 3 == 0)
            return false;
        shard.tier().release(page.slot);
        return true;
    });
}

} // namespace

TEST_CASE("shared store: threads release while the volume is accepted, and no slot is lost") {
    UFFDMM_INFO_SEED();
    for (const bool mixed : {false, true}) {
        temporary_directory directory;
        const std::string path = directory.file("store");
        auto a = open_volume(path);
        auto source = std::make_unique<shard_rig>(a);
        const auto places = locate_all(*source, store_all(*source, *a, keys(0, pages)));
        auto b = open_volume(path);
        std::vector<std::unique_ptr<shard_rig>> rigs;
        for (unsigned i = 0; i < shards; ++i)
            rigs.push_back(std::make_unique<shard_rig>(b));
        REQUIRE(b->attach(a->volume()).ok());
        REQUIRE(a->offer(nonce_of(1), false).ok());

        std::vector<std::vector<adopted_page>> mine(shards);
        std::atomic<unsigned> adopted{0};
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < shards; ++i)
            threads.emplace_back([&, i] {
                adopt_some(*rigs[i], places, i, mixed, mine[i]);
                adopted.fetch_add(1);
                while (adopted.load() < shards)
                    std::this_thread::yield();
                release_some(*rigs[i], mine[i], std::mt19937_64(seed() + i));
            });
        while (adopted.load() < shards)
            std::this_thread::yield();
        const auto accepted = b->accept(nonce_of(1));
        for (std::thread& thread : threads)
            thread.join();
        REQUIRE(accepted.ok());
        source.reset();
        a.reset();

        std::size_t left = 0;
        for (unsigned i = 0; i < shards; ++i) {
            for (const adopted_page& page : mine[i])
                rigs[i]->require_contents({page.slot}, {page.key});
            left += mine[i].size();
            CHECK(rigs[i]->tier().usage().pages == mine[i].size());
        }
        for (unsigned i = 0; i < shards; ++i)
            for (const adopted_page& page : mine[i])
                rigs[i]->tier().release(page.slot);
        REQUIRE(left > 0);
        // All of the store can be used by one of them, once the others' extents are back.
        for (unsigned i = 1; i < shards; ++i)
            rigs[i].reset();
        const auto all = store_all(*rigs[0], *b, keys(50'000, 64 * 64));
        rigs[0]->require_contents(all, keys(50'000, 64 * 64));
        rigs[0].reset();
        b.reset();
        require_all_free(path);
    }
}
