// SPDX-License-Identifier: BSD-3-Clause

/// The NBD tier and a server that goes away, comes back, hangs, or fails.

#include "tier/nbd/nbd_rig.hpp"

using namespace uffdmm;
using namespace uffdmm::test;
using std::chrono::milliseconds;
using clock_type = std::chrono::steady_clock;

namespace {

/// A server on a file, which survives it.
struct file_server {
    temporary_directory directory;
    nbd_server server{nbd_server::file(directory.file("disk"), 64 << 20)};

    /// nbdkit 1.32 may crash when several threads of it answer on a connection that is gone.
    void use_one_thread() {
        server.kill();
        server.serve_other({"--threads=1", "file", directory.file("disk")});
        server.start();
    }
};

} // namespace

TEST_CASE("server_away: a server that was killed and started again gives every page back") {
    UFFDMM_NEEDS_NBDKIT();
    file_server s;
    shard_rig rig(make_nbd_tier_factory(s.server.config()));
    const auto all = keys(0, 1000);
    const auto slots = rig.stored(all);
    for (int round = 0; round < 3; ++round) {
        s.server.kill();
        loads_under_way loads(rig, slots);
        wait_until_reachable(rig, false);
        CHECK(loads.all(tier_status::pending));
        const std::size_t before = rig.client.loads;
        s.server.start();
        rig.finish(rig.client.stores, before + slots.size());
        CHECK(loads.hold(all));
    }
    CHECK(rig.tier().reachable());
}

TEST_CASE("server_away: writes under way are sent again, to the same slots") {
    UFFDMM_NEEDS_NBDKIT();
    file_server s;
    s.server.kill();
    const std::string log = s.directory.file("log");
    s.server.serve_other({"--filter=log", "--filter=delay", "file", s.directory.file("disk"),
                          "delay-write=60", "logfile=" + log});
    s.server.start();
    shard_rig rig(make_nbd_tier_factory(s.server.config()));
    const auto all = keys(0, 300);
    stores_under_way stores(rig, all);
    for (int i = 0; i < 3000 && lines_with(nbd_server::contents(log), " Write id=") < 5; ++i)
        std::this_thread::sleep_for(milliseconds(10));
    REQUIRE(lines_with(nbd_server::contents(log), " Write id=") == 5); // runs of 64 pages
    s.server.kill();
    s.server.serve_other({"file", s.directory.file("disk")});
    s.server.start();
    rig.finish(all.size(), 0);
    REQUIRE(stores.all(tier_status::ok));
    rig.require_contents(stores.slots(), all);
}

TEST_CASE("server_away: stores fail at once, and go on when it is back") {
    UFFDMM_NEEDS_NBDKIT();
    file_server s;
    shard_rig rig(make_nbd_tier_factory(s.server.config()));
    s.server.kill();
    wait_until_reachable(rig, false);
    stores_under_way refused(rig, keys(0, 10));
    CHECK(refused.all(tier_status::failed)); // inside the call
    s.server.start();
    wait_until_reachable(rig, true);
    rig.client.stores = 0;
    const auto all = keys(0, 100);
    rig.require_contents(rig.stored(all), all);
}

TEST_CASE("server_away: a write that waits too long fails, so that its page goes elsewhere") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server({"--filter=delay", "memory", "64M", "delay-write=60"});
    shard_rig rig(make_nbd_tier_factory(server.config()));
    stores_under_way stores(rig, keys(0, 100));
    server.kill();
    rig.finish(100, 0);
    CHECK(stores.all(tier_status::failed));
    CHECK(rig.tier().usage().pages == 0);
}

TEST_CASE("server_gone: reads fail after lost_after, not before, and then at once") {
    UFFDMM_NEEDS_NBDKIT();
    file_server s;
    nbd_tier_config config = s.server.config();
    config.lost_after = milliseconds(700);
    shard_rig rig(make_nbd_tier_factory(config));
    const auto all = keys(0, 10);
    const auto slots = rig.stored(all);
    const auto begin = clock_type::now();
    s.server.kill();
    loads_under_way loads(rig, slots);
    rig.finish(10, 10);
    CHECK(loads.all(tier_status::failed));
    CHECK(clock_type::now() - begin >= config.lost_after);
    for (const tier_status status : rig.load(slots, all))
        CHECK(status == tier_status::failed);
    SECTION("and succeed when it is back after all") {
        s.server.start();
        wait_until_reachable(rig, true);
        rig.require_contents(slots, all);
    }
}

TEST_CASE("server_away: a server that comes back empty is found out, page by page") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server({"memory", "64M"});
    shard_rig rig(make_nbd_tier_factory(server.config()));
    const auto all = keys(0, 100);
    const auto slots = rig.stored(all);
    server.kill();
    server.start();
    for (const tier_status status : rig.load(slots, all))
        CHECK(status == tier_status::corrupt);
}

TEST_CASE("server_away: another export under the same name is not used") {
    UFFDMM_NEEDS_NBDKIT();
    file_server s;
    nbd_tier_config config = s.server.config();
    config.lost_after = milliseconds(500);
    shard_rig rig(make_nbd_tier_factory(config));
    const auto all = keys(0, 100);
    const auto slots = rig.stored(all);
    s.server.kill();
    wait_until_reachable(rig, false);
    s.server.serve_other(GENERATE(std::vector<std::string>{"memory", "1M"},
                                  std::vector<std::string>{"--readonly", "memory", "64M"}));
    s.server.start();
    for (const tier_status status : rig.load(slots, all))
        CHECK(status == tier_status::failed); // lost_after has passed, and there was no connection
    s.server.kill();
    s.server.serve_other({"file", s.directory.file("disk")});
    s.server.start();
    wait_until_reachable(rig, true);
    rig.require_contents(slots, all);
}

TEST_CASE("server_away: a server that hangs is left after request_timeout") {
    UFFDMM_NEEDS_NBDKIT();
    file_server s;
    s.use_one_thread();
    nbd_tier_config config = s.server.config();
    config.request_timeout = milliseconds(200);
    shard_rig rig(make_nbd_tier_factory(config));
    const auto all = keys(0, 100);
    const auto slots = rig.stored(all);
    s.server.freeze();
    loads_under_way loads(rig, slots);
    wait_until_reachable(rig, false);
    CHECK(loads.all(tier_status::pending));
    s.server.thaw();
    rig.finish(100, 100);
    CHECK(loads.hold(all));
}

TEST_CASE("server_gone: a server that hangs for good fails reads as well") {
    UFFDMM_NEEDS_NBDKIT();
    file_server s;
    s.use_one_thread();
    nbd_tier_config config = s.server.config();
    config.lost_after = milliseconds(500);
    shard_rig rig(make_nbd_tier_factory(config));
    const auto slots = rig.stored(keys(0, 10));
    const auto begin = clock_type::now();
    s.server.freeze();
    loads_under_way loads(rig, slots);
    rig.finish(10, 10);
    CHECK(loads.all(tier_status::failed));
    CHECK(clock_type::now() - begin >= config.lost_after);
}

TEST_CASE("server_away: a tier can be destroyed whatever its server does") {
    UFFDMM_NEEDS_NBDKIT();
    const bool hangs = GENERATE(false, true);
    file_server s;
    s.use_one_thread();
    shard_rig rig(make_nbd_tier_factory(s.server.config()));
    const auto slots = rig.stored(keys(0, 200));
    rig.release({slots.begin(), slots.begin() + 128}); // trims are on their way
    if (hangs)
        s.server.freeze();
    else
        s.server.kill();
    {
        loads_under_way loads(rig, {slots.begin() + 128, slots.end()});
        rig.destroy();
    } // nothing writes to the buffers of the loads any more
    s.server.thaw();
    rig.around.settle();
    CHECK(rig.client.loads <= 72);
}

TEST_CASE("nbd_tier: io_error_on_read: a read that the server fails can be repeated") {
    UFFDMM_NEEDS_NBDKIT();
    temporary_directory directory;
    const std::string trigger = directory.file("trigger");
    nbd_server server({"--filter=error", "memory", "64M", "error-pread=EIO",
                       "error-pread-rate=100%", "error-pread-file=" + trigger});
    shard_rig rig(make_nbd_tier_factory(server.config()));
    const auto all = keys(0, 50);
    const auto slots = rig.stored(all);
    std::ofstream(trigger).close();
    for (const tier_status status : rig.load(slots, all))
        CHECK(status == tier_status::failed);
    std::filesystem::remove(trigger);
    rig.require_contents(slots, all);
}

TEST_CASE("nbd_tier: io_error_on_write: writes that the server fails free their slots") {
    UFFDMM_NEEDS_NBDKIT();
    const std::string error = GENERATE("EIO", "ENOSPC");
    nbd_server server(
        {"--filter=error", "memory", "64M", "error-pwrite=" + error, "error-pwrite-rate=100%"});
    shard_rig rig(make_nbd_tier_factory(server.config()));
    for (const store_request& request : rig.store(keys(0, 100)))
        CHECK(request.status == (error == "EIO" ? tier_status::failed : tier_status::full));
    CHECK(rig.tier().usage().pages == 0);
}

TEST_CASE("nbd_tier: a server that fails now and then loses nothing") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server({"--filter=error", "memory", "64M", "error=EIO", "error-rate=20%"});
    shard_rig rig(make_nbd_tier_factory(server.config()));
    std::vector<slot_id> slots;
    std::vector<std::uint64_t> theirs;
    for (std::uint64_t key = 0; key < 400; key += 8) {
        const auto list = keys(key, 8);
        const auto stored = rig.store(list);
        for (std::size_t i = 0; i < stored.size(); ++i)
            if (stored[i].status == tier_status::ok) {
                slots.push_back(stored[i].slot);
                theirs.push_back(list[i]);
            }
    }
    REQUIRE_FALSE(slots.empty());
    for (std::size_t i = 0; i < slots.size(); ++i) {
        tier_status status = tier_status::failed;
        for (int attempt = 0; attempt < 100 && status == tier_status::failed; ++attempt)
            status = rig.load({slots[i]}, {theirs[i]}).front();
        REQUIRE(status == tier_status::ok);
    }
}
