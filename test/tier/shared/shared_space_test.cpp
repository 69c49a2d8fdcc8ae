// SPDX-License-Identifier: BSD-3-Clause
/// What a volume takes of the store, and what it leaves for others.

#include "tier/shared/shared_rig.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

/// Extents that are not free, those claimed ahead among them.
std::uint32_t extents_taken(const std::string& path) {
    volume_table table(path);
    const auto all = table.look();
    REQUIRE(all.ok());
    return table.file().geometry().extents() - all.value().free_extents;
}

/// Releases all slots but one of `each`, whose contents have their index as key.
void release_most(shard_rig& shard, const std::vector<slot_id>& slots, std::size_t each,
                  std::vector<slot_id>& kept, std::vector<std::uint64_t>& contents) {
    for (std::size_t i = 0; i < slots.size(); ++i)
        if (i % each == 0) {
            kept.push_back(slots[i]);
            contents.push_back(i);
        } else {
            shard.tier().release(slots[i]);
        }
}

/// Stores 64 pages at once, so many times.
void store_bursts(shard_rig& shard, shared_volume& volume, std::uint64_t bursts,
                  std::vector<slot_id>& slots, std::vector<std::uint64_t>& contents) {
    for (std::uint64_t burst = 0; burst < bursts; ++burst) {
        const auto burst_keys = keys(10'000 + burst * 64, 64);
        for (const auto& done : shard.store(burst_keys)) {
            REQUIRE(done.status == tier_status::ok);
            slots.push_back(done.slot);
        }
        contents.insert(contents.end(), burst_keys.begin(), burst_keys.end());
        volume.tend();
    }
}

TEST_CASE("shared store: slots freed in accepted extents are given out again") {
    two_managers m;
    m.hand_over(keys(0, 640)); // 10 extents, in part those of later ones
    REQUIRE(m.a->offer(nonce_of(1), false).ok());
    REQUIRE(m.b->accept(nonce_of(1)).ok());
    m.source.destroy();
    m.a.reset();
    std::vector<slot_id> kept;
    std::vector<std::uint64_t> kept_keys;
    release_most(m.destination, m.adopted, 8, kept, kept_keys);
    const auto more = store_all(m.destination, *m.b, keys(20000, 64 * 64 - 80));
    CHECK(m.destination.store({1}).front().status == tier_status::full);
    m.destination.require_contents(kept, kept_keys);
    m.destination.require_contents(more, keys(20000, 64 * 64 - 80));
}

TEST_CASE("shared store: adopted extents are filled before others are taken") {
    two_managers m;
    m.hand_over(keys(0, 64 * 30));
    REQUIRE(m.a->offer(nonce_of(1), false).ok());
    REQUIRE(m.b->accept(nonce_of(1)).ok());
    m.source.destroy();
    m.a.reset();
    std::vector<slot_id> kept;
    std::vector<std::uint64_t> contents;
    release_most(m.destination, m.adopted, 16, kept, contents);
    const std::uint32_t before = extents_taken(m.path);
    store_bursts(m.destination, *m.b, 5, kept, contents);
    CHECK(extents_taken(m.path) <= before + 1); // one claimed ahead was taken at most
    m.destination.require_contents(kept, contents);
}

TEST_CASE("shared store: nothing is taken from others while most of what is held is free") {
    two_managers m;
    const auto stored = store_all(m.source, *m.a, keys(0, 64 * 20));
    std::vector<slot_id> kept;
    std::vector<std::uint64_t> contents;
    // No hole is as long as the runs below.
    release_most(m.source, stored, 16, kept, contents);
    store_bursts(m.source, *m.a, 10, kept, contents);
    CHECK(extents_taken(m.path) <= 24 + 4); // those of the beginning, and what both claim ahead
    m.source.require_contents(kept, contents);
}

TEST_CASE("shared store: extents that are not needed go back to the others") {
    two_managers m;
    auto a = store_all(m.source, *m.a, keys(0, 64 * 40));
    m.source.release(a);
    m.a->tend();
    const auto b = store_all(m.destination, *m.b, keys(9000, 64 * 50));
    m.destination.require_contents(b, keys(9000, 64 * 50));
}

} // namespace
