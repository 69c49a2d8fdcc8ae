// SPDX-License-Identifier: BSD-3-Clause

/// An export that several hosts use: pages change hands without being read.

#include <optional>
#include <set>

#include "tier/nbd/export_pages.hpp"
#include "tier/nbd/nbd_rig.hpp"
#include "tier/shared/shared_rig.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

constexpr std::uintmax_t export_size = 32 << 20;

/// A host: a tier on the export, and the volume behind it.
struct nbd_host {
    explicit nbd_host(const nbd_tier_config& config) : rig(make_nbd_tier_factory(config)) {}
    [[nodiscard]] shared_volume& volume() {
        return dynamic_cast<shared_volume&>(*rig.tier().shared());
    }

    shard_rig rig;
};

/// A server, a folder that all hosts mount, and two hosts.
struct two_hosts {
    [[nodiscard]] nbd_tier_config config() const {
        nbd_tier_config c = server.config();
        c.shared_table = table();
        return c;
    }
    [[nodiscard]] std::string table() const { return server.directory().file("table"); }

    /// The source stores the keys, the destination adopts them.
    void hand_over(const std::vector<std::uint64_t>& keys) {
        stored = store_all(source.rig, source.volume(), keys);
        places = locate_all(source.rig, stored);
        REQUIRE(destination.volume().attach(source.volume().volume()).ok());
        adopted = adopt_all(destination.rig, places);
    }

    nbd_server server{nbdkit, export_size};
    nbd_host source{config()};
    nbd_host destination{config()};
    std::vector<slot_id> stored;
    std::vector<location> places;
    std::vector<slot_id> adopted;
};

} // namespace

TEST_CASE("nbd shared: hosts on one export never get the same slot, and each reads its own") {
    UFFDMM_NEEDS_NBDKIT();
    two_hosts h;
    const auto a = store_all(h.source.rig, h.source.volume(), keys(0, 500));
    const auto b = store_all(h.destination.rig, h.destination.volume(), keys(5000, 500));
    std::set<std::uint32_t> numbers;
    for (const auto& slots : {a, b})
        for (const slot_id slot : slots)
            CHECK(numbers.insert(slot_number(slot)).second);
    h.source.rig.require_contents(a, keys(0, 500));
    h.destination.rig.require_contents(b, keys(5000, 500));
    CHECK(h.source.rig.tier().traits().shared);
    CHECK(h.source.rig.tier().identity() == h.destination.rig.tier().identity());
    CHECK(std::filesystem::file_size(h.table()) < export_size / 16); // no page is in it
}

TEST_CASE("nbd shared: a location says that it is on an export, and leads to the contents") {
    UFFDMM_NEEDS_NBDKIT();
    two_hosts h;
    h.hand_over(keys(0, 200));
    for (const location& place : h.places) {
        CHECK(place.kind == location_kind::network_block_device);
        CHECK(place.offset >= page_size); // behind the name of the store
    }
    h.destination.rig.require_contents(h.adopted, keys(0, 200));
    location other = h.places.front();
    other.kind = location_kind::shared_file;
    CHECK(h.destination.rig.tier().adopt(other, 0).code() == errc::not_found);
}

TEST_CASE("nbd shared: double_ownership: ownership passes as a whole, by the table") {
    UFFDMM_NEEDS_NBDKIT();
    two_hosts h;
    h.hand_over(keys(0, 200));
    REQUIRE(h.source.volume().offer(nonce_of(1), false).ok());
    // The source stores nothing more.
    CHECK(h.source.rig.store({9}).front().status != tier_status::ok);
    CHECK(h.destination.volume().accept(nonce_of(2)).code() == errc::permission_denied);
    REQUIRE(h.destination.volume().accept(nonce_of(1)).ok());
    CHECK(h.source.volume().outcome().value() == handover::given);
    CHECK(h.source.volume().cancel().code() == errc::wrong_state);
    h.destination.rig.require_contents(h.adopted, keys(0, 200));
    h.destination.rig.release(h.adopted);
    const auto more = store_all(h.destination.rig, h.destination.volume(), keys(7000, 600));
    h.destination.rig.require_contents(more, keys(7000, 600));
}

TEST_CASE("nbd shared: an offer that was taken back leaves the source its pages") {
    UFFDMM_NEEDS_NBDKIT();
    two_hosts h;
    h.hand_over(keys(0, 100));
    REQUIRE(h.source.volume().offer(nonce_of(1), false).ok());
    REQUIRE(h.source.volume().cancel().ok());
    CHECK(h.destination.volume().accept(nonce_of(1)).code() == errc::wrong_state);
    const auto more = store_all(h.source.rig, h.source.volume(), keys(3000, 50));
    h.source.rig.require_contents(h.stored, keys(0, 100));
    h.source.rig.require_contents(more, keys(3000, 50));
}

TEST_CASE("nbd shared: what is offered has been flushed, by a client of the same server") {
    UFFDMM_NEEDS_NBDKIT();
    temporary_directory directory;
    const std::string log = directory.file("log");
    nbd_server server({"--filter=log", "memory", "32M", "logfile=" + log});
    nbd_tier_config config = server.config();
    config.shared_table = directory.file("table");
    nbd_host host(config);
    (void)store_all(host.rig, host.volume(), keys(0, 10));
    const std::size_t before = lines_with(nbd_server::contents(log), " Flush id=");
    REQUIRE(host.volume().offer(nonce_of(1), false).ok());
    CHECK(lines_with(nbd_server::contents(log), " Flush id=") == before + 1);
}

TEST_CASE("nbd shared: server_away: an offer fails while the server is away, and can be repeated") {
    UFFDMM_NEEDS_NBDKIT();
    two_hosts h;
    h.hand_over(keys(0, 100));
    h.server.kill();
    wait_until_reachable(h.source.rig, false);
    CHECK(h.source.volume().offer(nonce_of(1), false).code() == errc::io_error);
    CHECK(h.source.volume().outcome().value() == handover::own);
    h.server.start();
    wait_until_reachable(h.source.rig, true);
    REQUIRE(h.source.volume().offer(nonce_of(1), false).ok());
    REQUIRE(h.destination.volume().accept(nonce_of(1)).ok());
    h.destination.rig.require_contents(h.adopted, keys(0, 100));
}

TEST_CASE("nbd shared: when all have ended nothing is owned, and the export is as it was left") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server(nbdkit, export_size);
    nbd_tier_config config = server.config();
    config.shared_table = server.directory().file("table");
    std::optional<nbd_host> first(std::in_place, config);
    nbd_host second(config);
    const auto slots = store_all(second.rig, second.volume(), keys(0, 100));
    (void)store_all(first->rig, first->volume(), keys(500, 100));
    first.reset(); // which trims nothing that is the other's
    second.rig.require_contents(slots, keys(0, 100));
    const volume_name name = second.volume().volume();
    CHECK(name.store == second.rig.tier().identity());
}

TEST_CASE("nbd shared: another export than the table's is refused, and a table of a file store") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server one(nbdkit, export_size);
    nbd_server two(nbdkit, export_size);
    nbd_server small(nbdkit, export_size / 2);
    const std::string table = one.directory().file("table");
    const auto with_table = [](const nbd_server& server, const std::string& path) {
        nbd_tier_config config = server.config();
        config.shared_table = path;
        return config;
    };
    const auto refused = [&](const nbd_tier_config& config, const std::string& key,
                             const std::string& why) {
        CHECK_THAT(refusal_of(config), Catch::StartsWith(key) && Catch::Contains(why));
    };
    CHECK(refusal_of(with_table(one, table)).empty());
    CHECK(refusal_of(with_table(one, table)).empty()); // it is there now
    CHECK(refusal_of(with_table(two, two.directory().file("table"))).empty());
    refused(with_table(two, table), "tiers[].uri", "the pages of another store");
    refused(with_table(small, table), "tiers[].shared_table", "there is room for");
    const std::string file_store = one.directory().file("store");
    open_volume(file_store).reset();
    refused(with_table(one, file_store), "tiers[].shared_table", "has its pages in it");
    CHECK_THAT(refusal_of(shared_config(table, 0)), Catch::Contains("network block device"));
    nbd_tier_config resized = with_table(one, table);
    resized.size = 4 << 20;
    refused(resized, "tiers[].size", "cannot be resized");
}

TEST_CASE("nbd shared: a server that does not show all clients the same is refused") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server({"--filter=multi-conn", "memory", "32M", "multi-conn-mode=disable"});
    nbd_tier_config config = server.config();
    config.shared_table = server.directory().file("table");
    CHECK_THAT(refusal_of(config),
               Catch::StartsWith("tiers[].uri") && Catch::Contains("multi-conn"));
}
