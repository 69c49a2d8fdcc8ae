// SPDX-License-Identifier: BSD-3-Clause
#include "tier/file/file_tier.hpp"

#include <algorithm>
#include <random>

#include <sys/stat.h>

#include "support/catch.hpp"
#include "tier/file/file_rig.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

constexpr byte_count mib = 1 << 20;

struct on_memory {
    temporary_directory directory;
    std::shared_ptr<file_store> store;
    std::shared_ptr<queue_script> script = std::make_shared<queue_script>();

    explicit on_memory(byte_count size = 64 * mib)
        : store(std::make_shared<file_store>(file_config(directory.path(), size))) {}
};

TEST_CASE("file_tier: 64 neighbours stored together are written by one I/O and read by one") {
    on_memory m;
    shard_rig shard(m.store, m.script);
    (void)shard.stored(keys(1000, 7)); // so that they do not start a group
    const auto slots = shard.stored(keys(0, 64));
    REQUIRE(m.script->submitted == 2);
    for (std::size_t i = 1; i < slots.size(); ++i)
        REQUIRE(slot_number(slots[i]) == slot_number(slots[0]) + i);
    shard.require_contents(slots, keys(0, 64));
    REQUIRE(m.script->submitted == 3);
    REQUIRE(m.script->ios.back().second == 64 * page_size);
}

TEST_CASE("file_tier: readahead backwards is one I/O too") {
    on_memory m;
    shard_rig shard(m.store, m.script);
    auto slots = shard.stored(keys(0, 32));
    auto names = keys(0, 32);
    std::reverse(slots.begin(), slots.end());
    std::reverse(names.begin(), names.end());
    shard.require_contents(slots, names);
    REQUIRE(m.script->submitted == 2);
}

TEST_CASE("file_tier: the read that contains the first request starts first") {
    on_memory m;
    shard_rig shard(m.store, m.script);
    const auto slots = shard.stored(keys(0, 64));
    const std::vector<slot_id> asked = {slots[41], slots[3], slots[40], slots[20], slots[60]};
    shard.require_contents(asked, {41, 3, 40, 20, 60});
    const auto& ios = m.script->ios;
    REQUIRE(ios.size() == 5); // one write, four reads
    REQUIRE(ios[1] == std::pair{m.store->offset_of(slot_number(slots[40])), 2 * page_size});
}

TEST_CASE("file_tier: swap_full is told to every request that found no slot") {
    on_memory m(64 * page_size);
    shard_rig shard(m.store, m.script);
    const auto requests = shard.store(keys(0, 100));
    for (std::size_t i = 0; i < 100; ++i) {
        REQUIRE(requests[i].status == (i < 64 ? tier_status::ok : tier_status::full));
        REQUIRE((requests[i].slot == no_slot) == (i >= 64));
    }
    shard.tier().release(requests[10].slot);
    const auto again = shard.stored({777});
    shard.require_contents(again, {777});
}

TEST_CASE("file_tier: slots one shard frees can be used by another") {
    on_memory m(256 * page_size);
    shard_rig one(m.store, m.script);
    shard_rig two(m.store, m.script);
    const auto slots = one.stored(keys(0, 256));
    REQUIRE(two.store({1})[0].status == tier_status::full);
    REQUIRE(two.tier().usage().capacity_bytes == 0);
    one.release(slots);
    one.around.settle();
    REQUIRE(one.tier().usage().pages == 0);
    const auto theirs = two.stored(keys(500, 256));
    two.require_contents(theirs, keys(500, 256));
    REQUIRE(one.tier().usage().capacity_bytes == 0);
}

TEST_CASE("file_tier: usage counts pages and shares the room out") {
    on_memory m(16 * mib);
    shard_rig one(m.store, m.script);
    shard_rig two(m.store, m.script);
    const auto slots = one.stored(keys(0, 100));
    tier_usage usage = one.tier().usage();
    REQUIRE(usage.pages == 100);
    REQUIRE(usage.stored_bytes == 100 * page_size);
    REQUIRE(usage.occupied_bytes == 100 * page_size);
    const byte_count all = usage.capacity_bytes + two.tier().usage().capacity_bytes;
    REQUIRE(all == 16 * mib);
    one.release(slots);
    one.around.settle();
    usage = one.tier().usage();
    REQUIRE(usage.pages == 0);
    REQUIRE(usage.occupied_bytes == 0);
    REQUIRE(usage.capacity_bytes == 8 * mib);
}

TEST_CASE("file_tier: 8 GiB cost little memory up front, and less than 4 bytes per page in use") {
    on_memory m(8192 * mib);
    shard_rig shard(m.store, m.script);
    REQUIRE(shard.tier().usage().memory_bytes < 8 * 1024);
    (void)shard.stored(keys(0, 64)); // what an I/O takes, and the records of 1024 pages
    const byte_count before = shard.tier().usage().memory_bytes;
    for (std::uint64_t i = 64; i < 4096 + 64; i += 64)
        (void)shard.stored(keys(i, 64));
    const byte_count grown = shard.tier().usage().memory_bytes - before;
    REQUIRE(grown >= 4096 * 3);
    REQUIRE(grown <= 4096 * 4);
}

TEST_CASE("file_tier: torn_or_stale_slot: contents that are not what was written are corrupt") {
    on_memory m;
    shard_rig shard(m.store, m.script);
    const auto slots = shard.stored(keys(0, 3));
    m.script->pages.at(m.store->offset_of(slot_number(slots[1])) / page_size)[4095] ^= std::byte{1};
    const auto statuses = shard.load(slots, keys(0, 3));
    REQUIRE(statuses == std::vector{tier_status::ok, tier_status::corrupt, tier_status::ok});
}

TEST_CASE("file_tier: torn_or_stale_slot: a write that reached the medium in part is corrupt") {
    on_memory m;
    shard_rig shard(m.store, m.script);
    const auto old = shard.stored(keys(0, 64));
    const auto kept = m.script->pages;
    shard.release(old);
    shard.around.settle();
    const auto slots = shard.stored(keys(100, 64));
    for (std::size_t i = 0; i < 64; ++i) { // half of every page is as before
        REQUIRE(slot_number(slots[i]) == slot_number(old[i]));
        const std::uint64_t page = m.store->offset_of(slot_number(slots[i])) / page_size;
        std::copy_n(kept.at(page).begin(), page_size / 2, m.script->pages.at(page).begin());
    }
    for (const tier_status status : shard.load(slots, keys(100, 64)))
        REQUIRE(status == tier_status::corrupt);
}

TEST_CASE("file_tier: torn_or_stale_slot: names that were never or are no longer valid") {
    on_memory m;
    shard_rig shard(m.store, m.script);
    shard_rig other(m.store, m.script);
    const auto slots = shard.stored(keys(0, 64));
    shard.release(slots);
    shard.around.settle();
    const auto fresh = shard.stored(keys(64, 64)); // the same slots, other generations
    REQUIRE(slot_number(fresh[0]) == slot_number(slots[0]));
    const std::size_t before = m.script->submitted;
    REQUIRE(shard.load({slots[0]}, {0})[0] == tier_status::corrupt);
    REQUIRE(shard.load({no_slot}, {0})[0] == tier_status::corrupt);
    REQUIRE(shard.load({slot_id{12345}}, {0})[0] == tier_status::corrupt);
    REQUIRE(other.load({fresh[0]}, {64})[0] == tier_status::corrupt); // another shard's
    REQUIRE(m.script->submitted == before);
}

TEST_CASE(
    "file_tier: torn_or_stale_slot: a name that fits again after many generations is corrupt") {
    on_memory m;
    shard_rig shard(m.store, m.script);
    auto slots = shard.stored(keys(0, 1));
    const slot_id old = slots[0];
    for (std::uint64_t i = 1; i <= slot_naming::generations; ++i) {
        shard.release(slots);
        shard.around.settle();
        slots = shard.stored(keys(i, 1));
        REQUIRE(slot_number(slots[0]) == slot_number(old));
        REQUIRE(slots[0] != old);
        REQUIRE(shard.load({old}, {0})[0] == tier_status::corrupt);
    }
    shard.require_contents(slots, keys(slot_naming::generations, 1));
}

TEST_CASE("file_tier: reads overtake writes, but not for ever") {
    on_memory m;
    shard_rig shard(m.store, m.script, 1);
    const auto slots = shard.stored(keys(0, 64));
    m.script->ios.clear();
    m.script->hold = true;
    const mapping pages = mapping::anonymous(64 * page_size);
    std::vector<load_request> loads(64);
    std::vector<load_request*> list;
    for (std::size_t i = 0; i < 64; i += 2) { // 32 separate reads
        loads[i].slot = slots[i];
        loads[i].destination = pages.data() + i * page_size;
        list.push_back(&loads[i]);
    }
    shard.tier().load(std::span(list).first(1), shard.client);
    store_request write;
    write.contents = pages.data();
    store_request* const writes[] = {&write};
    shard.tier().store(writes, shard.client);
    shard.tier().load(std::span(list).subspan(1), shard.client);
    m.script->hold = false;
    const std::size_t stores = shard.client.stores;
    std::size_t reads_before_write = 0;
    while (shard.client.stores == stores) {
        shard.tier().poll(shard.client);
        reads_before_write = shard.client.loads;
    }
    REQUIRE(reads_before_write >= 8);
    REQUIRE(reads_before_write < 32);
    shard.finish(stores + 1, 32);
}

TEST_CASE("file_tier: a client may store, load and release from within a completion") {
    on_memory m;
    shard_rig shard(m.store, m.script, 2);
    const mapping pages = mapping::anonymous(2 * page_size);
    fill_page(pages.data(), 9);
    store_request store;
    store.contents = pages.data();
    load_request load;
    load.destination = pages.data() + page_size;
    int rounds = 0;
    const auto store_again = [&] {
        store.status = tier_status::pending;
        store_request* const list[] = {&store};
        shard.tier().store(list, shard.client);
    };
    shard.client.on_store = [&](store_request& request) {
        REQUIRE(request.status == tier_status::ok);
        load.slot = request.slot;
        load.status = tier_status::pending;
        load_request* const list[] = {&load};
        shard.tier().load(list, shard.client);
    };
    shard.client.on_load = [&](load_request& request) {
        REQUIRE(page_is(request.destination, 9));
        shard.tier().release(request.slot);
        if (++rounds < 100)
            store_again();
    };
    store_again();
    shard.finish(100, 100);
    REQUIRE(shard.tier().usage().pages == 0);
}

TEST_CASE("file_tier: a tier destroyed with I/O under way waits for it and gives its slots back") {
    on_memory m;
    const mapping pages = mapping::anonymous(page_size);
    std::vector<store_request> requests(300);
    std::vector<store_request*> list;
    for (store_request& request : requests) {
        request.contents = pages.data();
        list.push_back(&request);
    }
    {
        shard_rig shard(m.store, m.script, 2); // two I/Os under way, the rest waiting
        m.script->hold = true;
        shard.tier().store(list, shard.client);
        REQUIRE(m.script->under_way == 2);
    }
    REQUIRE(m.script->under_way == 0);
    REQUIRE(m.store->extents().free_extents() == m.store->extents().extents());
}

// ---- discard ------------------------------------------------------------------------------------

blkcnt_t blocks_of(const file_store& store) {
    struct stat st {};
    REQUIRE(::fstat(store.fd(), &st) == 0);
    return st.st_blocks;
}

TEST_CASE("file_tier: the blocks of freed slots go back to the file system") {
    const temporary_directory directory;
    const auto store = std::make_shared<file_store>(file_config(directory.path(), 64 * mib));
    shard_rig shard(store);
    const blkcnt_t before = blocks_of(*store);
    const auto slots = shard.stored(keys(0, 2048));
    const blkcnt_t full = blocks_of(*store);
    REQUIRE(full >= before + 2048 * 8);
    shard.release({slots.begin(), slots.begin() + 1024});
    REQUIRE(blocks_of(*store) == full); // not within the call: a worker does it
    shard.around.settle();
    REQUIRE(blocks_of(*store) <= full - 1024 * 8);
    shard.require_contents({slots.begin() + 1024, slots.end()}, keys(1024, 1024));
    shard.release({slots.begin() + 1024, slots.end()});
    shard.around.settle();
    REQUIRE(blocks_of(*store) <= before + 64);
    REQUIRE(shard.tier().usage().memory_bytes < mib);
}

TEST_CASE("file_tier: blocks are not given back where they were reserved, or without `discard`") {
    const temporary_directory directory;
    file_tier_config config = file_config(directory.path(), 16 * mib);
    const bool preallocate = GENERATE(false, true);
    config.preallocate = preallocate;
    config.discard = preallocate;
    const auto store = std::make_shared<file_store>(config);
    shard_rig shard(store);
    const auto slots = shard.stored(keys(0, 1024));
    const blkcnt_t full = blocks_of(*store);
    shard.release(slots);
    REQUIRE(shard.around.workers.waiting() == 0);
    REQUIRE(blocks_of(*store) == full);
}

TEST_CASE("file_tier: a tier's blocks go back when it is destroyed, even in the middle of a trim") {
    const temporary_directory directory;
    const auto store = std::make_shared<file_store>(file_config(directory.path(), 16 * mib));
    const blkcnt_t before = blocks_of(*store);
    {
        shard_rig shard(store);
        const auto slots = shard.stored(keys(0, 1024));
        shard.release({slots.begin(), slots.begin() + 512});
        REQUIRE(shard.around.workers.waiting() == 1); // queued, and abandoned
        shard.destroy();
        REQUIRE(store->extents().free_extents() == store->extents().extents());
    }
    REQUIRE(blocks_of(*store) <= before + 64);
}

TEST_CASE("file_tier: freed slots are trimmed when the I/O is over") {
    on_memory m;
    shard_rig shard(m.store, m.script);
    const auto slots = shard.stored(keys(0, 128));
    m.script->hold = true;
    const mapping page = mapping::anonymous(page_size);
    load_request load;
    load.slot = slots[100];
    load.destination = page.data();
    load_request* const list[] = {&load};
    shard.tier().load(list, shard.client);
    shard.release({slots.begin(), slots.begin() + 64});
    REQUIRE(shard.around.workers.waiting() == 0);
    m.script->hold = false;
    shard.finish(128, 1);
    REQUIRE(shard.around.workers.waiting() == 1);
}

} // namespace
