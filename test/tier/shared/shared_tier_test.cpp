// SPDX-License-Identifier: BSD-3-Clause
#include <filesystem>
#include <fstream>
#include <set>

#include <fcntl.h>
#include <sys/mount.h>

#include "tier/shared/shared_rig.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

bool overwrite(const std::string& path, std::uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    const std::string junk(page_size, 'j');
    file.write(junk.data(), static_cast<std::streamsize>(junk.size()));
    return file.good();
}

} // namespace

TEST_CASE("shared store: managers never get the same slot, and each reads its own") {
    two_managers m;
    const auto a = store_all(m.source, *m.a, keys(0, 300));
    const auto b = store_all(m.destination, *m.b, keys(5000, 300));
    std::set<std::uint32_t> numbers;
    for (const auto& slots : {a, b})
        for (const slot_id slot : slots)
            CHECK(numbers.insert(slot_number(slot)).second);
    m.source.require_contents(a, keys(0, 300));
    m.destination.require_contents(b, keys(5000, 300));
    CHECK(m.source.tier().traits().shared);
    CHECK(m.source.tier().identity() == m.destination.tier().identity());
    CHECK_FALSE(m.source.tier().identity().none());
}

TEST_CASE("shared store: what is stored elsewhere is read through its location, before ownership") {
    two_managers m;
    m.hand_over(keys(0, 200));
    m.destination.require_contents(m.adopted, keys(0, 200));
    CHECK(m.destination.tier().usage().pages == 200);
    m.source.require_contents(m.stored, keys(0, 200));
}

TEST_CASE("shared store: a destination frees nothing of the source's before it has accepted") {
    two_managers m;
    m.hand_over(keys(0, 100));
    m.destination.release(m.adopted);
    CHECK(m.destination.tier().usage().pages == 0);
    (void)store_all(m.destination, *m.b, keys(9000, 500));
    m.source.require_contents(m.stored, keys(0, 100));
    CHECK(m.b->detach().ok());
    m.source.require_contents(m.stored, keys(0, 100));
}

TEST_CASE("double_ownership: a leased slot is neither freed nor rewritten by the source") {
    two_managers m;
    m.hand_over(keys(0, 100));
    m.source.release(m.stored); // the guest has written to these pages
    const std::uint64_t in_use = m.source.tier().usage().occupied_bytes;
    CHECK(m.source.tier().usage().pages == 0);
    CHECK(in_use == 100 * page_size);
    (void)store_all(m.source, *m.a, keys(7000, 400));
    m.destination.require_contents(m.adopted, keys(0, 100));
}

TEST_CASE("double_ownership: what was released under a lease is free after it, and only then") {
    two_managers m;
    m.hand_over(keys(0, 100));
    m.source.release({m.stored.begin(), m.stored.begin() + 60});
    m.destination.release(m.adopted);
    REQUIRE(m.b->detach().ok());
    m.source.tier().end_leases();
    for (int i = 0; i < 10; ++i)
        m.source.tier().poll(m.source.client);
    CHECK(m.source.tier().usage().occupied_bytes == 40 * page_size);
    m.source.require_contents({m.stored.begin() + 60, m.stored.end()}, keys(60, 40));
    // Released after the lease: at once.
    m.source.release({m.stored.begin() + 60, m.stored.end()});
    CHECK(m.source.tier().usage().occupied_bytes == 0);
}

TEST_CASE("double_ownership: ownership passes as a whole, and what was not adopted is free") {
    two_managers m;
    m.hand_over(keys(0, 200));
    (void)store_all(m.source, *m.a, keys(4000, 700)); // not handed over
    REQUIRE(m.a->offer(nonce_of(1), false).ok());
    REQUIRE(m.b->accept(nonce_of(1)).ok());
    CHECK(m.a->outcome().value() == handover::given);
    CHECK(m.a->cancel().code() == errc::wrong_state);
    m.source.destroy();
    m.a.reset(); // the source ends; its end must free nothing
    m.destination.require_contents(m.adopted, keys(0, 200));
    // The destination can use all the rest of the store.
    const auto more = store_all(m.destination, *m.b, keys(20000, 64 * 64 - 256));
    m.destination.require_contents(m.adopted, keys(0, 200));
    m.destination.require_contents(more, keys(20000, 64 * 64 - 256));
    m.destination.destroy();
    m.b.reset();
    require_all_free(m.path);
}

TEST_CASE("shared store: nothing is written while the volume is offered, and again after cancel") {
    two_managers m;
    m.hand_over(keys(0, 50));
    REQUIRE(m.a->offer(nonce_of(3), false).ok());
    CHECK(m.a->outcome().value() == handover::offered);
    CHECK(m.source.store({1}).front().status == tier_status::busy);
    m.source.require_contents(m.stored, keys(0, 50));
    CHECK(m.a->offer(nonce_of(4), false).code() == errc::wrong_state);
    REQUIRE(m.a->cancel().ok());
    CHECK(m.a->outcome().value() == handover::own);
    CHECK(m.source.store({1}).front().status == tier_status::ok);
    CHECK(m.b->accept(nonce_of(3)).code() == errc::wrong_state);
    m.destination.require_contents(m.adopted, keys(0, 50));
    CHECK(m.b->detach().code() == errc::wrong_state); // pages are there
    m.destination.release(m.adopted);
    CHECK(m.b->detach().ok());
    REQUIRE(m.a->offer(nonce_of(5), false).ok()); // and a second try works
    REQUIRE(m.b->attach(m.a->volume()).ok());
    const auto again = adopt_all(m.destination, m.places);
    REQUIRE(m.b->accept(nonce_of(5)).ok());
    m.destination.require_contents(again, keys(0, 50));
}

TEST_CASE("shared store: an offer waits for writes under way, which are in it") {
    temporary_directory directory;
    const auto a = open_volume(directory.file("store"));
    REQUIRE(a->gate().enter()); // as a tier does for its writes
    std::atomic<bool> offered{false};
    std::thread offering([&] {
        const bool ok = a->offer(nonce_of(1), false).ok();
        offered.store(ok);
    });
    while (!a->gate().closed())
        std::this_thread::yield();
    CHECK_FALSE(offered.load());
    a->gate().leave();
    offering.join();
    CHECK(offered.load());
}

TEST_CASE("shared store: only who has the nonce can accept, and only what is offered") {
    two_managers m;
    CHECK(m.b->accept(nonce_of(1)).code() == errc::wrong_state);
    m.hand_over(keys(0, 10));
    CHECK(m.b->accept(nonce_of(1)).code() == errc::wrong_state);
    REQUIRE(m.a->offer(nonce_of(1), false).ok());
    CHECK(m.b->accept(nonce_of(2)).code() == errc::permission_denied);
    CHECK(m.a->outcome().value() == handover::offered);
    CHECK(m.b->accept(nonce_of(1)).ok());
    CHECK(m.b->accept(nonce_of(1)).code() == errc::wrong_state);
}

TEST_CASE("shared store: attaching to what is not there is refused") {
    two_managers m;
    volume_name other = m.a->volume();
    other.store.bytes[0] ^= 1;
    CHECK(m.b->attach(other).code() == errc::not_found);
    volume_name gone = m.a->volume();
    ++gone.generation;
    CHECK(m.b->attach(gone).code() == errc::not_found);
    gone.number = 1u << 20;
    CHECK(m.b->attach(gone).code() == errc::not_found);
    CHECK(m.b->attach(m.b->volume()).code() == errc::invalid_argument);
    CHECK(m.b->detach().code() == errc::wrong_state);
    REQUIRE(m.b->attach(m.a->volume()).ok());
    CHECK(m.b->attach(m.a->volume()).code() == errc::busy);
}

TEST_CASE("shared store: locations that cannot be are refused, not looked up") {
    two_managers m;
    const auto stored = store_all(m.source, *m.a, keys(0, 3));
    const auto places = locate_all(m.source, stored);
    swap_tier& tier = m.destination.tier();
    CHECK(tier.adopt(places[0], 0).code() == errc::wrong_state);
    REQUIRE(m.b->attach(m.a->volume()).ok());
    location bad = places[0];
    bad.store.bytes[3] ^= 1;
    CHECK(tier.adopt(bad, 0).code() == errc::not_found);
    bad = places[0];
    bad.kind = location_kind::network_block_device;
    CHECK(tier.adopt(bad, 0).code() == errc::not_found);
    bad = places[0];
    bad.offset = 0; // the header
    CHECK(tier.adopt(bad, 0).code() == errc::not_found);
    bad.offset = m.a->store()->offset_of(0) + small_store;
    CHECK(tier.adopt(bad, 0).code() == errc::not_found);
    bad = places[0];
    bad.generation = 3;
    CHECK(tier.adopt(bad, 0).code() == errc::corrupt);
    const auto slot = tier.adopt(places[0], 0);
    REQUIRE(slot.ok());
    CHECK(tier.adopt(places[0], 0).code() == errc::invalid_argument);
    bad = places[1]; // the same extent
    bad.generation += 16;
    CHECK(tier.adopt(bad, 0).code() == errc::corrupt);
    CHECK(tier.locate(slot.value()).code() == errc::wrong_state);
    // One of the destination's own extents.
    const auto own = m.destination.stored({77});
    const auto own_place = m.destination.tier().locate(own.front());
    REQUIRE(own_place.ok());
    CHECK(tier.adopt(own_place.value(), 0).code() == errc::corrupt);
    m.destination.require_contents(own, {77});
}

TEST_CASE("shared store: a location of an extent that is not the source's cannot be accepted") {
    two_managers m;
    m.hand_over(keys(0, 10));
    location foreign = m.places[0];
    foreign.offset = m.a->store()->offset_of(64 * 60); // nobody's
    const auto slot = m.destination.tier().adopt(foreign, 99);
    REQUIRE(slot.ok());
    REQUIRE(m.a->offer(nonce_of(1), false).ok());
    CHECK(m.b->accept(nonce_of(1)).code() == errc::corrupt);
    CHECK(m.a->cancel().ok()); // so nothing has happened
    m.source.require_contents(m.stored, keys(0, 10));
}

TEST_CASE("torn_or_stale_slot: contents damaged in the store are corrupt for both") {
    two_managers m;
    m.hand_over(keys(0, 3));
    REQUIRE(overwrite(m.path, m.places[1].offset));
    CHECK(m.destination.load({m.adopted[1]}, {1}).front() == tier_status::corrupt);
    CHECK(m.source.load({m.stored[1]}, {1}).front() == tier_status::corrupt);
    m.destination.require_contents({m.adopted[0], m.adopted[2]}, {0, 2});
}

TEST_CASE("torn_or_stale_slot: a location of an earlier owner never verifies") {
    temporary_directory directory;
    const std::string path = directory.file("store");
    std::vector<location> stale;
    {
        const auto first = open_volume(path);
        shard_rig shard(first);
        stale = locate_all(shard, store_all(shard, *first, keys(0, 64)));
    }
    const auto next = open_volume(path);
    shard_rig shard(next);
    const auto places = locate_all(shard, store_all(shard, *next, keys(1000, 64)));
    REQUIRE(places[0].offset == stale[0].offset);
    CHECK(places[0].generation != stale[0].generation);
    const auto other = open_volume(path);
    shard_rig reader(other);
    REQUIRE(other->attach(next->volume()).ok());
    const auto adopted = adopt_all(reader, stale);
    for (const tier_status status : reader.load(adopted, keys(0, 64)))
        CHECK(status == tier_status::corrupt);
    REQUIRE(next->offer(nonce_of(1), false).ok());
    CHECK(other->accept(nonce_of(1)).code() == errc::corrupt);
}

TEST_CASE("torn_or_stale_slot: the same contents of another generation have another checksum") {
    temporary_directory directory;
    const std::string path = directory.file("store");
    location before;
    {
        const auto first = open_volume(path);
        shard_rig shard(first);
        before = locate_all(shard, store_all(shard, *first, {1})).front();
    }
    const auto next = open_volume(path);
    shard_rig shard(next);
    const location after = locate_all(shard, store_all(shard, *next, {1})).front();
    REQUIRE(after.offset == before.offset);
    CHECK(after.checksum != before.checksum);
}

TEST_CASE("torn_or_stale_slot: contents in another slot than they were written for are corrupt") {
    two_managers m;
    m.hand_over(keys(0, 3));
    location moved = m.places[0]; // same contents, generation and checksum, elsewhere
    REQUIRE(m.source.tier().usage().pages == 3);
    std::string page(page_size, '\0');
    std::fstream file(m.path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(moved.offset));
    file.read(page.data(), page_size);
    moved.offset += 32 * page_size;
    file.seekp(static_cast<std::streamoff>(moved.offset));
    file.write(page.data(), page_size);
    file.close();
    const auto slot = m.destination.tier().adopt(moved, 50);
    REQUIRE(slot.ok());
    CHECK(m.destination.load({slot.value()}, {0}).front() == tier_status::corrupt);
}

TEST_CASE("shared store: a region of several shards adopts what one shard has stored") {
    two_managers m;
    shard_rig second(m.b);
    m.stored = store_all(m.source, *m.a, keys(0, 256));
    m.places = locate_all(m.source, m.stored);
    REQUIRE(m.b->attach(m.a->volume()).ok());
    std::vector<slot_id> first_slots;
    std::vector<slot_id> second_slots;
    for (std::size_t i = 0; i < 256; i += 2) {
        first_slots.push_back(m.destination.tier().adopt(m.places[i], i).value());
        second_slots.push_back(second.tier().adopt(m.places[i + 1], i).value());
    }
    REQUIRE(m.a->offer(nonce_of(1), false).ok());
    REQUIRE(m.b->accept(nonce_of(1)).ok());
    for (std::size_t i = 0; i < 128; ++i) {
        m.destination.require_contents({first_slots[i]}, {2 * i});
        second.require_contents({second_slots[i]}, {2 * i + 1});
    }
    m.destination.release(first_slots);
    second.require_contents({second_slots[5]}, {11});
    second.release(second_slots);
    CHECK(m.destination.tier().usage().occupied_bytes == 0);
    CHECK(second.tier().usage().occupied_bytes == 0);
}

TEST_CASE("shared store: pages go from manager to manager ten times and back") {
    temporary_directory directory;
    const std::string path = directory.file("store");
    auto now = open_volume(path);
    auto shard = std::make_unique<shard_rig>(now);
    auto slots = store_all(*shard, *now, keys(0, 400));
    auto contents = keys(0, 400);
    for (std::uint8_t round = 1; round <= 10; ++round) {
        auto next = open_volume(path);
        auto next_shard = std::make_unique<shard_rig>(next);
        REQUIRE(next->attach(now->volume()).ok());
        auto adopted = adopt_all(*next_shard, locate_all(*shard, slots));
        REQUIRE(now->offer(nonce_of(round), false).ok());
        REQUIRE(next->accept(nonce_of(round)).ok());
        shard.reset();
        now = std::move(next);
        shard = std::move(next_shard);
        slots = std::move(adopted);
        shard->require_contents(slots, contents);
        // A third of the pages change.
        for (std::size_t i = round % 3; i < slots.size(); i += 3) {
            shard->tier().release(slots[i]);
            contents[i] += 1'000'000;
            slots[i] = store_all(*shard, *now, {contents[i]}).front();
        }
        shard->require_contents(slots, contents);
    }
    CHECK(shard->tier().usage().pages == 400);
    shard.reset();
    now.reset();
    require_all_free(path);
}

TEST_CASE("shared store: a saved volume waits without an owner, and is restored once") {
    temporary_directory directory;
    const std::string path = directory.file("store");
    volume_name name;
    std::vector<location> places;
    {
        const auto saved = open_volume(path);
        shard_rig shard(saved);
        places = locate_all(shard, store_all(shard, *saved, keys(0, 100)));
        name = saved->volume();
        REQUIRE(saved->offer(nonce_of(9), true).ok());
    }
    {
        const auto other = open_volume(path); // reclaims what is dead
        shard_rig shard(other);
        (void)store_all(shard, *other, keys(5000, 1000));
    }
    const auto restored = open_volume(path);
    shard_rig shard(restored);
    REQUIRE(restored->attach(name).ok());
    const auto slots = adopt_all(shard, places);
    REQUIRE(restored->accept(nonce_of(9)).ok());
    shard.require_contents(slots, keys(0, 100));
    const auto twice = open_volume(path);
    CHECK(twice->attach(name).code() == errc::not_found);
}

TEST_CASE("shared store: who was declared dead writes nothing any more") {
    two_managers m;
    const auto stored = store_all(m.source, *m.a, keys(0, 10));
    {
        // As if the file server had dropped the locks of a host it cannot reach.
        store_file file(m.path);
        const std::uint32_t volume = m.a->volume().number;
        auto record = file.read_volume(volume);
        REQUIRE(record.ok());
        record.value().state = volume_state::free;
        REQUIRE(file.write_volume(volume, record.value()).ok());
    }
    for (int i = 0; i < 6; ++i)
        m.a->tend();
    CHECK(m.source.store({1}).front().status == tier_status::busy);
    CHECK(m.a->offer(nonce_of(1), false).code() == errc::wrong_state);
    CHECK(m.a->cancel().code() == errc::wrong_state);
    CHECK(m.a->outcome().value() == handover::given);
}

// ---- opening ------------------------------------------------------------------------------------

TEST_CASE("shared store: what cannot be one is refused by key") {
    temporary_directory directory;
    const std::string path = directory.file("store");
    CHECK_THAT(refusal_of(shared_config(directory.path())),
               Catch::Contains("tiers[].path") && Catch::Contains("is a directory") &&
                   Catch::Contains("tiers[].shared needs the name of a file"));
    CHECK_THAT(refusal_of(shared_config(path, 0)),
               Catch::Contains("tiers[].size") && Catch::Contains("at least 4096"));
    std::ofstream(path) << "somebody's thesis";
    CHECK_THAT(refusal_of(shared_config(path)),
               Catch::Contains("tiers[].path") && Catch::Contains("is not overwritten"));
    std::filesystem::remove(path);
    (void)open_volume(path);
    CHECK_THAT(refusal_of(shared_config(path, 2 * small_store)),
               Catch::Contains("tiers[].size") && Catch::Contains("cannot be resized"));
    CHECK(refusal_of(shared_config(path, 0)).empty());
    CHECK_THAT(refusal_of(shared_config(directory.file("no/where"))),
               Catch::Contains("tiers[].path"));
}

TEST_CASE("shared store: a damaged header is refused, and another version") {
    temporary_directory directory;
    const std::string path = directory.file("store");
    (void)open_volume(path);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(201);
    file.put('\x7f');
    file.flush();
    CHECK_THAT(refusal_of(shared_config(path)), Catch::Contains("header is damaged"));
    file.seekp(192);
    file.put('\x03');
    file.flush();
    CHECK_THAT(refusal_of(shared_config(path)), Catch::Contains("another version"));
}

TEST_CASE("shared store: a damaged record is nobody's, and a damaged entry is given to nobody") {
    temporary_directory directory;
    const std::string path = directory.file("store");
    store_geometry g;
    {
        const auto volume = open_volume(path);
        g = volume->table().file().geometry();
    }
    REQUIRE(overwrite(path, g.volume_offset(0)));
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(g.table_offset()));
    file.write("garbage", 7);
    file.close();
    const auto volume = open_volume(path);
    CHECK(volume->volume().number == 1);
    shard_rig shard(volume);
    const auto slots = store_all(shard, *volume, keys(0, 64 * 63));
    CHECK(shard.store({1}).front().status == tier_status::full);
    for (const slot_id slot : slots)
        CHECK(slot_number(slot) >= 64);
    const auto all = volume->table().look();
    REQUIRE(all.ok());
    CHECK(all.value().damaged_entries == 1);
    CHECK(all.value().volumes.front().damaged);
}

TEST_CASE("shared store: works on a file system in memory") {
    temporary_directory unused;
    std::string name = "/dev/shm/uffdmm-XXXXXX";
    const int fd = ::mkstemp(name.data());
    REQUIRE(fd >= 0);
    ::close(fd);
    {
        const auto a = open_volume(name);
        shard_rig source(a);
        const auto slots = store_all(source, *a, keys(0, 300));
        const auto b = open_volume(name);
        shard_rig destination(b);
        REQUIRE(b->attach(a->volume()).ok());
        const auto adopted = adopt_all(destination, locate_all(source, slots));
        REQUIRE(a->offer(nonce_of(1), false).ok());
        REQUIRE(b->accept(nonce_of(1)).ok());
        destination.require_contents(adopted, keys(0, 300));
    }
    std::filesystem::remove(name);
}

TEST_CASE("shared store: works where O_DIRECT is refused") {
    temporary_directory directory;
    if (::mount("ramfs", directory.path().c_str(), "ramfs", 0, nullptr) != 0) {
        WARN("not tested: mounting a ramfs needs root");
        return;
    }
    {
        const std::string path = directory.file("store");
        const auto a = open_volume(path);
        CHECK_FALSE(a->table().file().direct());
        shard_rig source(a);
        const auto slots = store_all(source, *a, keys(0, 300));
        const auto b = open_volume(path);
        shard_rig destination(b);
        REQUIRE(b->attach(a->volume()).ok());
        const auto adopted = adopt_all(destination, locate_all(source, slots));
        REQUIRE(a->offer(nonce_of(1), false).ok());
        REQUIRE(b->accept(nonce_of(1)).ok());
        destination.require_contents(adopted, keys(0, 300));
    }
    CHECK(::umount(directory.path().c_str()) == 0);
}
