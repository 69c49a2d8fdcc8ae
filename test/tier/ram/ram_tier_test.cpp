// SPDX-License-Identifier: BSD-3-Clause
#include "tier/ram/ram_tier.hpp"

#include <algorithm>
#include <map>
#include <string>

#include "ram_world.hpp"
#include "support/allocation_counter.hpp"
#include "support/seed.hpp"
#include "uffdmm/result.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

ram_tier_config config_of(codec which, int level, byte_count size) {
    ram_tier_config config;
    config.compression = which;
    config.level = level;
    config.size = size;
    return config;
}

struct page_buffer {
    mapping memory = mapping::anonymous(page_size);
    [[nodiscard]] std::byte* data() const { return memory.data(); }
    [[nodiscard]] bool equals(const page_buffer& other) const {
        return std::memcmp(data(), other.data(), page_size) == 0;
    }
};

/// Contents that only `seed` determines, most of them compressible, of all sizes.
void fill_by_seed(std::byte* page, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    if (seed % 5 == 0)
        fill_text(page, random);
    else
        fill_page(page, static_cast<unsigned>(seed % 90), random);
}

/// Random stores, loads and releases against a map.
void run_model(ram_world& world, std::mt19937_64& random, int operations) {
    struct held {
        std::uint64_t owner;
        std::uint64_t seed;
    };
    std::map<std::uint64_t, held> model; // by slot
    page_buffer contents;
    page_buffer expected;
    const auto pick = [&] {
        auto it = model.lower_bound(random() % (model.rbegin()->first + 1));
        return it == model.end() ? model.begin() : it;
    };
    for (int i = 0; i < operations; ++i) {
        // Grows, shrinks, grows: holes are made and closed.
        const unsigned stores_of_8 = i / 1000 % 2 == 0 ? 5 : 3;
        const auto what = random() % 8;
        if (model.empty() || what < stores_of_8) {
            const std::uint64_t owner = random() % ram_world::pages;
            const std::uint64_t seed = random();
            fill_by_seed(contents.data(), seed);
            const store_request request = world.store(owner, contents.data());
            REQUIRE((request.status == tier_status::ok || request.status == tier_status::rejected ||
                     request.status == tier_status::full));
            if (request.status != tier_status::ok) {
                REQUIRE(request.slot == no_slot);
                continue;
            }
            REQUIRE(request.slot.value < no_slot.value);
            REQUIRE(model.emplace(request.slot.value, held{owner, seed}).second);
        } else if (what < 7) {
            const auto it = pick();
            REQUIRE(world.load({it->first}, contents.data()) == tier_status::ok);
            fill_by_seed(expected.data(), it->second.seed);
            REQUIRE(contents.equals(expected));
        }
        if (!model.empty() && what >= stores_of_8) {
            const auto it = pick();
            world.tier->release({it->first});
            model.erase(it);
        }
        if (i % 500 == 0)
            world.ram().pool().check_invariants();
    }
    REQUIRE(world.tier->usage().pages == model.size());
    for (const auto& [slot, page] : model) {
        REQUIRE(world.load({slot}, contents.data()) == tier_status::ok);
        fill_by_seed(expected.data(), page.seed);
        REQUIRE(contents.equals(expected));
        world.tier->release({slot});
    }
    world.ram().pool().check_invariants();
    REQUIRE(world.tier->usage().pages == 0);
    REQUIRE(world.tier->usage().stored_bytes == 0);
}

TEST_CASE("ram_tier: what is stored is what is loaded, with every codec") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(seed());
    for (const auto& [which, level] : {std::pair{codec::lz4, 1}, std::pair{codec::zstd, 1},
                                       std::pair{codec::zstd, 3}, std::pair{codec::zstd, 19}}) {
        INFO((which == codec::lz4 ? "lz4" : "zstd ") << level);
        ram_world world(config_of(which, level, 16 << 20));
        run_model(world, random, level == 19 ? 1500 : 5000);
    }
}

TEST_CASE("ram_tier: a quota too small for everything loses nothing that was accepted") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(seed() + 1);
    ram_world world(config_of(codec::lz4, 1, 512 << 10));
    run_model(world, random, 8000);
}

TEST_CASE("page_codec: a page survives every level of zstd") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(seed());
    page_buffer page;
    page_buffer back;
    page_decompressor decompressor(codec::zstd);
    for (int level = 1; level <= 19; ++level) {
        page_compressor compressor(codec::zstd, level);
        const mapping workspace = mapping::anonymous(compressor.workspace_bytes());
        compressor.set_workspace({workspace.data(), compressor.workspace_bytes()});
        for (int i = 0; i < 20; ++i) {
            fill_by_seed(page.data(), random());
            std::array<std::byte, page_size + 64> out;
            const std::uint32_t n = compressor.compress(page.data(), out);
            REQUIRE(n != 0);
            REQUIRE(decompressor.decompress({out.data(), n}, back.data()));
            REQUIRE(page.equals(back));
        }
    }
}

TEST_CASE("ram_tier: a batch of pages ends in poll, whatever order the workers finish in") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(seed());
    ram_world world(config_of(codec::lz4, 1, 16 << 20));
    world.workers.latest_first = true;
    constexpr std::size_t n = 300;
    const mapping contents = mapping::anonymous(n * page_size);
    std::vector<store_request> requests(n);
    std::vector<store_request*> list;
    for (std::size_t i = 0; i < n; ++i) {
        fill_page(contents.data() + i * page_size, 30, random);
        requests[i].owner = i;
        requests[i].contents = contents.data() + i * page_size;
        list.push_back(&requests[i]);
    }
    world.tier->store(list, world.client);
    REQUIRE(world.client.stored.empty());
    world.settle();
    REQUIRE(world.client.stored.size() == n);
    page_buffer back;
    for (const store_request& request : requests) {
        REQUIRE(request.status == tier_status::ok);
        REQUIRE(world.load(request.slot, back.data()) == tier_status::ok);
        REQUIRE(std::memcmp(back.data(), request.contents, page_size) == 0);
    }
}

TEST_CASE("ram_tier: a few pages are compressed at once, more wait until they fill a job") {
    ram_world world(config_of(codec::lz4, 1, 16 << 20));
    page_buffer page;
    std::array<store_request, 40> requests;
    for (store_request& request : requests) {
        request.contents = page.data();
        store_request* const list[] = {&request};
        world.tier->store(list, world.client);
    }
    // Two short jobs, then full ones only: 1 + 1 + 16 + 16, and 6 pages wait.
    REQUIRE(world.workers.waiting() == 4);
    REQUIRE(world.workers.run_one());
    (void)world.home.drain();
    REQUIRE(world.workers.waiting() == 3);
    world.settle();
    REQUIRE(world.client.stored.size() == requests.size());
}

TEST_CASE("ram_tier: the client may store again from within store_done") {
    struct eager final : tier_client {
        ram_world* world = nullptr;
        int left = 10;
        int nested = 0;
        int depth = 0;
        void store_done(store_request& request) noexcept override {
            nested = std::max(nested, ++depth);
            REQUIRE(request.status == tier_status::ok);
            if (left-- > 0) {
                request.status = tier_status::pending;
                store_request* const list[] = {&request};
                world->tier->store(list, *this);
            }
            --depth;
        }
        void load_done(load_request&) noexcept override {}
    } client;
    ram_world world(config_of(codec::lz4, 1, 4 << 20));
    client.world = &world;
    page_buffer page;
    store_request request;
    request.contents = page.data();
    store_request* const list[] = {&request};
    world.tier->store(list, client);
    while (client.left >= 0) {
        REQUIRE(world.workers.run_one());
        (void)world.home.drain();
        world.tier->poll(client);
    }
    REQUIRE(client.nested == 1);
    REQUIRE(world.tier->usage().pages == 11);
}

TEST_CASE("ram_tier: incompressible pages are rejected") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(seed());
    for (const codec which : {codec::lz4, codec::zstd}) {
        ram_tier_config config = config_of(which, 1, 4 << 20);
        page_buffer page;
        fill_page(page.data(), 100, random);
        ram_world world(config);
        REQUIRE(world.store(1, page.data()).status == tier_status::rejected);
        fill_page(page.data(), 60, random);
        REQUIRE(world.store(1, page.data()).status == tier_status::ok);
        config.reject_percent = 50;
        ram_world strict(config);
        REQUIRE(strict.store(1, page.data()).status == tier_status::rejected);
        REQUIRE(strict.tier->usage().pages == 0);
    }
}

/// Fills the tier until it says full; returns the slots, oldest first.
std::vector<slot_id> fill_up(ram_world& world, std::mt19937_64& random,
                             std::size_t most = SIZE_MAX) {
    page_buffer page;
    std::vector<slot_id> slots;
    while (slots.size() < most) {
        fill_page(page.data(), static_cast<unsigned>(random() % 70), random);
        const store_request request = world.store(slots.size(), page.data());
        if (request.status == tier_status::full)
            break;
        REQUIRE(request.status == tier_status::ok);
        slots.push_back(request.slot);
    }
    return slots;
}

TEST_CASE("ram_tier: it is full at its size, and takes pages again when some were released") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(seed());
    ram_world world(config_of(codec::lz4, 1, 4 << 20));
    std::vector<slot_id> slots = fill_up(world, random);
    tier_usage usage = world.tier->usage();
    REQUIRE(usage.occupied_bytes <= 4 << 20);
    REQUIRE(usage.occupied_bytes >= (4 << 20) - slab_bytes);
    REQUIRE(usage.capacity_bytes == 4 << 20);
    REQUIRE(usage.stored_bytes > (4 << 20) * 85 / 100);
    page_buffer page;
    fill_page(page.data(), 20, random);
    REQUIRE(world.store(0, page.data()).status == tier_status::full);
    for (std::size_t i = 0; i < slots.size(); i += 4)
        world.tier->release(slots[i]);
    REQUIRE(world.store(0, page.data()).status == tier_status::ok);
}

TEST_CASE("ram_tier: two instances share one size, and each knows what it may still reach") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(seed());
    const auto factory = make_ram_tier_factory(config_of(codec::lz4, 1, 4 << 20), 0);
    ram_world a(factory);
    ram_world b(factory);
    REQUIRE(a.tier->usage().capacity_bytes == 2 << 20);
    const auto slots = fill_up(a, random);
    REQUIRE(a.tier->usage().occupied_bytes > 3 << 20);
    REQUIRE(a.tier->usage().capacity_bytes + b.tier->usage().capacity_bytes == 4 << 20);
    page_buffer page;
    fill_page(page.data(), 50, random);
    while (b.store(0, page.data()).status == tier_status::ok) {
    }
    REQUIRE(a.tier->usage().occupied_bytes + b.tier->usage().occupied_bytes <= 4 << 20);
    for (const slot_id slot : slots)
        a.tier->release(slot);
    a.idle();
    REQUIRE(b.store(0, page.data()).status == tier_status::ok);
    REQUIRE(fill_up(b, random).size() > slots.size() * 8 / 10);
}

TEST_CASE("ram_tier: an instance that goes away gives its share back") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(seed());
    const auto factory = make_ram_tier_factory(config_of(codec::lz4, 1, 4 << 20), 0);
    ram_world a(factory);
    {
        ram_world b(factory);
        (void)fill_up(b, random);
    }
    REQUIRE(a.tier->usage().capacity_bytes == 4 << 20);
    REQUIRE(fill_up(a, random).size() > 1000);
}

TEST_CASE("ram_tier: a size of 0 is half of the limit") {
    stepped_executor workers;
    struct : waker {
        void wake() noexcept override {}
    } nobody;
    mailbox home(nobody);
    const auto tier = make_ram_tier_factory({}, 64 << 20)({workers, home, 1024, 0});
    REQUIRE(tier->usage().capacity_bytes == 32 << 20);
}

TEST_CASE("ram_tier: memory in use is what usage says, to the page") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(seed());
    ram_world world(config_of(codec::lz4, 1, 16 << 20));
    std::vector<slot_id> slots = fill_up(world, random, 5000);
    const auto check = [&] {
        const std::size_t claimed = world.tier->usage().occupied_bytes / page_size;
        const std::size_t real = world.resident_pool_pages();
        // The last object of a growing slab need not reach the end of its last page yet.
        REQUIRE(real <= claimed);
        REQUIRE(real + all_size_classes.count() >= claimed);
    };
    check();
    std::shuffle(slots.begin(), slots.end(), random);
    for (std::size_t i = 0; i < 4000; ++i)
        world.tier->release(slots[i]);
    world.idle();
    check();
}

TEST_CASE("ram_tier: released memory goes back to the system") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(seed());
    ram_world world(config_of(codec::lz4, 1, 32 << 20));
    const byte_count before = world.tier->usage().memory_bytes;
    std::vector<slot_id> slots = fill_up(world, random, 8000);
    const byte_count most = world.tier->usage().memory_bytes;
    REQUIRE(world.resident_pool_pages() > 2000);
    std::shuffle(slots.begin(), slots.end(), random);
    for (const slot_id slot : slots)
        world.tier->release(slot);
    world.idle();
    // What stays: a few empty slabs for what comes next, and bookkeeping.
    REQUIRE(world.resident_pool_pages() <= 16 * slab_pages);
    REQUIRE(world.tier->usage().memory_bytes - before < (1 << 20) + 8000 * 24 + (128 << 10));
    REQUIRE(world.tier->usage().memory_bytes < most / 2);
}

TEST_CASE("ram_tier: pages left over after most were released are moved together") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(seed());
    ram_world world(config_of(codec::lz4, 1, 32 << 20));
    std::vector<std::pair<slot_id, std::uint64_t>> kept;
    page_buffer page;
    for (std::uint64_t i = 0; i < 8000; ++i) {
        std::mt19937_64 contents(i);
        fill_page(page.data(), 40 + static_cast<unsigned>(i % 8), contents);
        const store_request request = world.store(i, page.data());
        REQUIRE(request.status == tier_status::ok);
        kept.emplace_back(request.slot, i);
    }
    std::shuffle(kept.begin(), kept.end(), random);
    for (; kept.size() > 4000; kept.pop_back())
        world.tier->release(kept.back().first);
    world.idle();
    world.ram().pool().check_invariants();
    REQUIRE(world.ram().pool().moved_objects() > 0);
    const tier_usage usage = world.tier->usage();
    INFO("stored " << usage.stored_bytes << " occupied " << usage.occupied_bytes);
    REQUIRE(usage.occupied_bytes < usage.stored_bytes * 125 / 100);
    page_buffer expected;
    for (const auto& [slot, i] : kept) {
        std::mt19937_64 contents(i);
        fill_page(expected.data(), 40 + static_cast<unsigned>(i % 8), contents);
        REQUIRE(world.load(slot, page.data()) == tier_status::ok);
        REQUIRE(page.equals(expected));
    }
}

TEST_CASE(
    "ram_tier: torn_or_stale_slot: damaged contents are reported, never delivered as a page") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(seed());
    for (const codec which : {codec::lz4, codec::zstd}) {
        ram_world world(config_of(which, 1, 4 << 20));
        page_buffer page;
        page_buffer back;
        fill_text(page.data(), random);
        const store_request request = world.store(7, page.data());
        const std::span<std::byte> bytes = world.ram().stored_bytes(request.slot);
        for (int i = 0; i < 200; ++i) {
            std::byte& victim = bytes[random() % bytes.size()];
            const std::byte flip = std::byte{1} << (random() % 8);
            victim ^= flip;
            REQUIRE(world.load(request.slot, back.data()) == tier_status::corrupt);
            victim ^= flip;
        }
        REQUIRE(world.load(request.slot, back.data()) == tier_status::ok);
        REQUIRE(page.equals(back));
    }
}

TEST_CASE(
    "ram_tier: torn_or_stale_slot: a damaged object header is reported, and can be released") {
    ram_world world(config_of(codec::lz4, 1, 4 << 20));
    page_buffer page;
    const store_request request = world.store(7, page.data());
    (world.ram().stored_bytes(request.slot).data() - object_header_bytes)[1] ^= std::byte{4};
    REQUIRE(world.load(request.slot, page.data()) == tier_status::corrupt);
    world.tier->release(request.slot);
    world.ram().pool().check_invariants();
}

TEST_CASE("ram_tier: torn_or_stale_slot: the name of a released slot does not fit its successor") {
    ram_world world(config_of(codec::lz4, 1, 4 << 20));
    page_buffer page;
    const slot_id stale = world.store(7, page.data()).slot;
    world.tier->release(stale);
    REQUIRE(world.load(stale, page.data()) == tier_status::corrupt);
    const slot_id fresh = world.store(8, page.data()).slot;
    REQUIRE(fresh != stale);
    REQUIRE(world.load(stale, page.data()) == tier_status::corrupt);
    REQUIRE(world.load(fresh, page.data()) == tier_status::ok);
    REQUIRE(world.load({12345}, page.data()) == tier_status::corrupt);
}

TEST_CASE("ram_tier: the coldest slots are those stored longest ago") {
    ram_world world(config_of(codec::lz4, 1, 4 << 20));
    page_buffer page;
    std::vector<slot_id> slots;
    for (std::uint64_t i = 0; i < 50; ++i)
        slots.push_back(world.store(100 + i, page.data()).slot);
    REQUIRE(world.load(slots[0], page.data()) == tier_status::ok); // reading does not warm
    world.tier->release(slots[0]);
    world.tier->release(slots[3]);
    const slot_id again = world.store(103, page.data()).slot;
    std::array<cold_slot, 64> cold;
    REQUIRE(world.tier->coldest(cold) == 49);
    REQUIRE(cold[0].owner == 101);
    REQUIRE(cold[0].slot == slots[1]);
    REQUIRE(cold[1].owner == 102);
    REQUIRE(cold[2].owner == 104);
    REQUIRE(cold[47].owner == 149);
    REQUIRE(cold[48].owner == 103);
    REQUIRE(cold[48].slot == again);
    REQUIRE(world.tier->coldest(std::span(cold).first(2)) == 2);
}

TEST_CASE("ram_tier: loading allocates nothing") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(seed());
    for (const codec which : {codec::lz4, codec::zstd}) {
        ram_world world(config_of(which, 1, 4 << 20));
        page_buffer page;
        fill_text(page.data(), random);
        const slot_id slot = world.store(7, page.data()).slot;
        load_request request;
        request.slot = slot;
        request.destination = page.data();
        load_request* const list[] = {&request};
        const std::uint64_t before = allocations_of_this_thread();
        for (int i = 0; i < 100; ++i)
            world.tier->load(list, world.client);
        world.tier->release(slot);
        REQUIRE(allocations_of_this_thread() == before);
        REQUIRE(request.status == tier_status::ok);
    }
}

TEST_CASE("ram_tier: what is not allowed is refused by name") {
    const auto message = [](ram_tier_config config) -> std::string {
        try {
            (void)make_ram_tier_factory(config, 64 << 20);
        } catch (const setup_error& e) {
            return e.what();
        }
        return "accepted";
    };
    ram_tier_config config;
    config.reject_percent = 0;
    REQUIRE(message(config) == "tiers[].reject_percent: 0 is not allowed, 1 to 100 are");
    config = {};
    config.compression = codec::zstd;
    config.level = 20;
    REQUIRE(message(config) == "tiers[].level: 20 is not allowed, 1 to 19 are");
    config.compression = codec::lz4;
    REQUIRE(message(config) == "accepted");
}

} // namespace
