// SPDX-License-Identifier: BSD-3-Clause

/// The NBD tier against a server that works.

#include <thread>

#include "tier/nbd/nbd_rig.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

constexpr byte_count mib = byte_count{1} << 20;

/// A server whose requests can be counted.
struct logged_server : nbd_server {
    explicit logged_server(const std::string& log = "/var/tmp/uffdmm-nbd-log-" +
                                                    std::to_string(::getpid()))
        : nbd_server({"--filter=log", "memory", "64M", "logfile=" + log}), path(log) {}
    ~logged_server() { std::filesystem::remove(path); }
    /// Lines of the log that name the request.
    [[nodiscard]] std::size_t count(const std::string& request) const {
        return lines_with(contents(path), " " + request + " id=");
    }
    /// Bytes of all trims.
    [[nodiscard]] std::uint64_t trimmed() const {
        const std::string log = contents(path);
        std::uint64_t sum = 0;
        for (std::size_t at = 0; (at = log.find(" Trim id=", at)) != std::string::npos; ++at)
            sum += std::stoull(log.substr(log.find("count=", at) + 6), nullptr, 16);
        return sum;
    }
    std::string path;
};

} // namespace

TEST_CASE("nbd_tier: pages come back as they were stored, over several connections") {
    UFFDMM_NEEDS_NBDKIT();
    logged_server server;
    shard_rig rig(make_nbd_tier_factory(server.config()));
    const auto first = keys(0, 1500);
    const auto slots = rig.stored(first);
    CHECK(rig.tier().usage().pages == 1500);
    rig.require_contents(slots, first);
    // One by one and backwards, so that there are many requests.
    std::vector<slot_id> some;
    std::vector<std::uint64_t> theirs;
    for (std::size_t i = first.size(); i >= 7; i -= 7) {
        some.push_back(slots[i - 1]);
        theirs.push_back(first[i - 1]);
    }
    rig.require_contents(some, theirs);
    CHECK(lines_with(server.contents(server.path), " Connect ") > 1);
}

TEST_CASE("nbd_tier: it is remote, asynchronous, and says what it holds") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server({"memory", "64M"});
    nbd_tier_config config = server.config();
    config.name = "far";
    config.size = 5 * mib + 100;
    shard_rig rig(make_nbd_tier_factory(config));
    CHECK(rig.tier().traits().name == "far");
    CHECK(rig.tier().traits().latency == tier_latency::remote);
    CHECK_FALSE(rig.tier().traits().synchronous_load);
    CHECK(rig.tier().reachable());
    CHECK(rig.tier().usage().capacity_bytes == 5 * mib);
    CHECK(rig.tier().usage().memory_bytes > 0);
}

TEST_CASE("nbd_tier: neighbours are stored by one write, wherever their buffers are") {
    UFFDMM_NEEDS_NBDKIT();
    const auto gap = GENERATE(std::size_t{1}, std::size_t{2});
    logged_server server;
    shard_rig rig(make_nbd_tier_factory(server.config()));
    stores_under_way stores(rig, keys(0, 64), gap);
    rig.finish(64, 0);
    REQUIRE(stores.all(tier_status::ok));
    CHECK(server.count("Write") == 1);
    loads_under_way loads(rig, stores.slots());
    rig.finish(64, 64);
    CHECK(loads.hold(keys(0, 64)));
    CHECK(server.count("Read") == 1);
}

TEST_CASE("nbd_tier: more scattered runs than there are buffers are stored all the same") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server({"--filter=delay", "memory", "64M", "delay-write=20ms"});
    shard_rig rig(make_nbd_tier_factory(server.config()));
    const auto all = keys(0, 64 * 12);
    stores_under_way stores(rig, all, 2);
    rig.finish(all.size(), 0);
    REQUIRE(stores.all(tier_status::ok));
    rig.require_contents(stores.slots(), all);
}

TEST_CASE("nbd_tier: a server that takes small requests only gets small requests") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server({"--filter=blocksize-policy", "memory", "64M", "blocksize-minimum=512",
                       "blocksize-preferred=4096", "blocksize-maximum=20K",
                       "blocksize-error-policy=error"});
    shard_rig rig(make_nbd_tier_factory(server.config()));
    const auto all = keys(0, 200);
    rig.require_contents(rig.stored(all), all);
}

TEST_CASE("nbd_tier: a server without multi-conn gets one connection") {
    UFFDMM_NEEDS_NBDKIT();
    const std::string log = "/var/tmp/uffdmm-nbd-one-" + std::to_string(::getpid());
    {
        nbd_server server({"--filter=log", "--filter=multi-conn", "memory", "64M",
                           "multi-conn-mode=disable", "logfile=" + log});
        shard_rig rig(make_nbd_tier_factory(server.config()));
        const auto all = keys(0, 500);
        rig.require_contents(rig.stored(all), all);
        CHECK(lines_with(server.contents(log), " Connect ") == 1);
    }
    std::filesystem::remove(log);
}

TEST_CASE("nbd_tier: a full export is full, and has room again when slots are released") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server({"memory", "1M"});
    shard_rig rig(make_nbd_tier_factory(server.config()));
    const auto slots = rig.stored(keys(0, 256));
    CHECK(rig.store({1000}).front().status == tier_status::full);
    rig.release({slots[7]});
    const auto again = rig.stored({2000});
    rig.require_contents(again, {2000});
}

TEST_CASE("nbd_tier: torn_or_stale_slot: a name that was given out before is corrupt") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server({"memory", "1M"});
    nbd_tier_config config = server.config();
    config.discard = false; // slots that are being trimmed are not given out
    shard_rig rig(make_nbd_tier_factory(config));
    const auto old = rig.stored(keys(0, 256));
    rig.release(old);
    rig.around.settle();
    (void)rig.stored(keys(1000, 256));
    for (const tier_status status : rig.load(old, keys(0, 256)))
        CHECK(status == tier_status::corrupt);
}

TEST_CASE("nbd_tier: freed slots are trimmed in groups, and what is left at the end") {
    UFFDMM_NEEDS_NBDKIT();
    logged_server server;
    {
        shard_rig rig(make_nbd_tier_factory(server.config()));
        const auto slots = rig.stored(keys(0, 512));
        rig.release(slots);
        for (int i = 0; i < 3000 && server.trimmed() < 512 * page_size; ++i) {
            rig.around.settle();
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        CHECK(server.trimmed() == 512 * page_size);
        const auto more = keys(1000, 512); // the slots are given out again after that
        rig.require_contents(rig.stored(more), more);
    }
    CHECK(server.trimmed() == 512 * page_size + 64 * mib);
    CHECK(lines_with(server.contents(server.path), "Disconnect") > 0);
}

TEST_CASE("nbd_tier: nothing is trimmed where that is switched off") {
    UFFDMM_NEEDS_NBDKIT();
    logged_server server;
    {
        nbd_tier_config config = server.config();
        config.discard = false;
        shard_rig rig(make_nbd_tier_factory(config));
        rig.release(rig.stored(keys(0, 512)));
        rig.around.settle();
    }
    CHECK(server.count("Trim") == 0);
}

TEST_CASE("nbd_tier: durable writes are forced to stable storage") {
    UFFDMM_NEEDS_NBDKIT();
    logged_server server;
    nbd_tier_config config = server.config();
    config.durable = true;
    shard_rig rig(make_nbd_tier_factory(config));
    const auto all = keys(0, 64);
    rig.require_contents(rig.stored(all), all);
    CHECK(lines_with(server.contents(server.path), "fua=1") >= 1);
}

TEST_CASE("nbd_tier: shards on threads of their own share the connections") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server({"memory", "64M"});
    const tier_factory make = make_nbd_tier_factory(server.config());
    std::atomic<unsigned> good{0};
    const auto shard = [&](std::uint64_t salt) {
        surroundings around;
        strict_client client;
        const auto tier = make({around.workers, around.home, 1024, static_cast<unsigned>(salt)});
        const mapping pages = mapping::anonymous(64 * page_size);
        const mapping back = mapping::anonymous(64 * page_size);
        unsigned right = 0;
        for (std::uint64_t round = 0; round < 20; ++round) {
            std::array<store_request, 64> stores;
            std::array<load_request, 64> loads;
            std::array<store_request*, 64> store_list{};
            std::array<load_request*, 64> load_list{};
            for (std::size_t i = 0; i < 64; ++i) {
                fill_page(pages.data() + i * page_size, salt * 10'000 + round * 64 + i);
                stores[i].contents = pages.data() + i * page_size;
                store_list[i] = &stores[i];
            }
            const auto wait_for = [&](const std::size_t& count, std::size_t wanted) {
                while (count < wanted) {
                    pollfd readable{tier->event_fd(), POLLIN, 0};
                    if (::poll(&readable, 1, 30'000) != 1)
                        return;
                    tier->poll(client);
                }
            };
            tier->store(store_list, client);
            wait_for(client.stores, (round + 1) * 64);
            for (std::size_t i = 0; i < 64; ++i) {
                loads[i].slot = stores[i].slot;
                loads[i].destination = back.data() + i * page_size;
                load_list[i] = &loads[i];
            }
            tier->load(load_list, client);
            wait_for(client.loads, (round + 1) * 64);
            for (std::size_t i = 0; i < 64; ++i) {
                right +=
                    page_is(back.data() + i * page_size, salt * 10'000 + round * 64 + i) ? 1 : 0;
                tier->release(stores[i].slot);
            }
            (void)around.home.drain();
        }
        good += right;
    };
    std::vector<std::thread> threads;
    for (std::uint64_t salt = 1; salt <= 3; ++salt)
        threads.emplace_back(shard, salt);
    for (std::thread& thread : threads)
        thread.join();
    CHECK(good == 3u * 20 * 64);
}
