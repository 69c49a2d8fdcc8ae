// SPDX-License-Identifier: BSD-3-Clause

/// Leases of several shards in one extent: a volume that came from a host with fewer shards.

#include <memory>
#include <string>
#include <vector>

#include "tier/shared/shared_rig.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

/// The slots of one extent of a, taken over by two shards of b, alternately.
struct mixed_extent {
    mixed_extent() {
        const auto stored = store_all(source, *a, keys(0, 256));
        const auto places = locate_all(source, stored);
        REQUIRE(b->attach(a->volume()).ok());
        for (std::size_t i = 0; i < 256; i += 2) {
            first_slots.push_back(first.tier().adopt(places[i], i).value());
            second_slots.push_back(second.tier().adopt(places[i + 1], i).value());
            second_keys.push_back(i + 1);
        }
        REQUIRE(a->offer(nonce_of(1), false).ok());
        REQUIRE(b->accept(nonce_of(1)).ok());
    }
    void sweep_first() {
        for (unsigned i = 0; i < 10; ++i)
            (void)first.tier().poll(first.client);
    }
    /// The owner reuses what it may, and then c reads what it was told.
    void expect_contents_at_next(const std::vector<slot_id>& adopted) {
        first.release(first_slots);
        second.release(second_slots); // faulted in, or written, after they were located
        (void)store_all(second, *b, keys(9000, 3000));
        for (const tier_status status : next.load(adopted, second_keys))
            CHECK(status == tier_status::ok);
    }

    temporary_directory directory;
    std::string path = directory.file("store");
    std::shared_ptr<shared_volume> a = open_volume(path);
    std::shared_ptr<shared_volume> b = open_volume(path);
    std::shared_ptr<shared_volume> c = open_volume(path);
    shard_rig source{a};
    shard_rig first{b};
    shard_rig second{b};
    shard_rig next{c};
    std::vector<slot_id> first_slots;
    std::vector<slot_id> second_slots;
    std::vector<std::uint64_t> second_keys;
};

} // namespace

TEST_CASE("shared leases: double_ownership: a migration's end leaves another's leases alone") {
    mixed_extent m;
    // Two regions of one manager, a shard each; both are being migrated to c.
    (void)locate_all(m.first, m.first_slots);
    const auto places = locate_all(m.second, m.second_slots);
    REQUIRE(m.c->attach(m.b->volume()).ok());
    const auto adopted = adopt_all(m.next, places);
    m.next.require_contents(adopted, m.second_keys);
    m.first.tier().end_leases();
    m.sweep_first();
    m.expect_contents_at_next(adopted);
}

TEST_CASE("shared leases: double_ownership: a sweep leaves the next migration's leases alone") {
    mixed_extent m;
    (void)locate_all(m.first, m.first_slots);
    (void)locate_all(m.second, m.second_slots);
    m.first.tier().end_leases(); // cancelled
    m.second.tier().end_leases();
    const auto places = locate_all(m.second, m.second_slots); // the next begins at once
    REQUIRE(m.c->attach(m.b->volume()).ok());
    const auto adopted = adopt_all(m.next, places);
    m.sweep_first();
    m.expect_contents_at_next(adopted);
}
