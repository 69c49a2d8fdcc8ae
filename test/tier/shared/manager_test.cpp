// SPDX-License-Identifier: BSD-3-Clause

/// Managers on the real kernel whose pages are in a shared store, and regions that move from one to
/// another by locations.

#include <map>

#include "support/managed_world.hpp"
#include "tier/file/aio_queue.hpp"
#include "tier/shared/shared_rig.hpp"
#include "uffdmm/migration.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

manager_config shared_manager(const std::string& path) {
    (void)probe();
    file_tier_config file = shared_config(path, 128 * mib);
    manager_config config;
    config.limit = 8 * mib;
    config.tiers = {file};
    return config;
}

region_config region_of(byte_count size, unsigned shards) {
    region_config config;
    config.size = size;
    config.shards = shards;
    return config;
}

/// A host with a VM: a manager whose volume the test can get at, and a region.
class host {
  public:
    explicit host(const std::string& path, unsigned shards = 1)
        : volume_(open_volume(path, 128 * mib)), manager_(config_of(volume_)),
          region_(manager_.add_region(region_of(32 * mib, shards))) {}

    [[nodiscard]] shared_volume& volume() { return *volume_; }
    [[nodiscard]] region& ram() { return region_; }
    [[nodiscard]] stats statistics() { return manager_.statistics(); }
    void settle() { REQUIRE(manager_.wait_until_idle(std::chrono::seconds(30)).ok()); }

  private:
    static manager_config config_of(const std::shared_ptr<shared_volume>& volume) {
        (void)probe();
        manager_config config;
        config.limit = 8 * mib;
        config.tiers = {custom_tier_config{
            "store", [volume](const tier_context& context) {
                file_tier::parts p{volume->store(), make_linux_aio_queue(volume->fd(), 32), 32,
                                   context.workers, context.home};
                p.sharing = volume;
                return std::make_unique<file_tier>("store", std::move(p));
            }}};
        return config;
    }

    std::shared_ptr<shared_volume> volume_;
    manager manager_;
    region& region_;
};

/// What a VMM does for the pages from `first` on; returns how many of each kind there were.
std::map<page_kind, std::uint64_t> send(migration_source& from, host& source, migration_target& to,
                                        std::uint64_t first, std::uint64_t count) {
    std::map<page_kind, std::uint64_t> kinds;
    for (std::uint64_t i = first; i < first + count; ++i) {
        const byte_count offset = i * page_size;
        const auto page = from.page(offset);
        REQUIRE(page.ok());
        const page_view& view = page.value();
        ++kinds[view.record.kind];
        result<void> done;
        switch (view.record.kind) {
        case page_kind::untouched:
            done = to.zero(offset, page_size);
            break;
        case page_kind::resident:
            done = to.put(offset, {page_of(source.ram(), i), page_size}, warmth::warm);
            break;
        case page_kind::swapped:
            done = to.put(offset, {view.contents, page_size}, warmth::cold);
            break;
        case page_kind::located: {
            // Over the wire.
            const auto place = decode_location(encode(*view.place));
            REQUIRE(place.ok());
            done = to.adopt(offset, place.value());
            break;
        }
        default:
            FAIL("a page that cannot be sent: " << to_string(view.record.kind));
        }
        REQUIRE(done.ok());
    }
    return kinds;
}

} // namespace

TEST_CASE("shared store: two managers in one store lose no byte", "[kernel]") {
    temporary_directory directory;
    const std::string path = directory.file("store");
    {
        manager a(shared_manager(path));
        manager b(shared_manager(path));
        region& first = a.add_region(region_of(32 * mib, 2));
        region& second = b.add_region(region_of(24 * mib, 1));
        for (std::uint64_t version = 1; version <= 3; ++version) {
            stamp_all(first, version);
            stamp_all(second, version + 100);
            CHECK(wrong_pages(first, version) == 0);
            CHECK(wrong_pages(second, version + 100) == 0);
        }
        CHECK(a.statistics().tiers.at(1).writes > 0);
        CHECK(b.statistics().tiers.at(1).writes > 0);
    }
    require_all_free(path); // their ends have given everything back
}

TEST_CASE("shared store: a region moves by locations while its guest writes", "[kernel]") {
    for (const unsigned shards : {1u, 3u}) {
        temporary_directory directory;
        const std::string path = directory.file("store");
        auto source = std::make_unique<host>(path);
        host destination(path, shards);
        stamp_all(source->ram(), 1);
        source->settle();
        const std::uint64_t pages = pages_in(source->ram());
        const std::uint64_t before = source->statistics().tiers.at(1).reads;

        auto from = source->ram().begin_source({true});
        REQUIRE(from.ok());
        auto to = destination.ram().begin_target();
        REQUIRE(to.ok());
        REQUIRE(destination.volume().attach(source->volume().volume()).ok());
        auto kinds = send(*from.value(), *source, *to.value(), 0, pages);
        CHECK(kinds[page_kind::located] > pages / 2);
        CHECK(source->statistics().tiers.at(1).reads == before); // nothing came in for it
        // The guest writes to pages that were sent already, many of them as locations.
        for (std::uint64_t i = 0; i < pages / 4; ++i)
            stamp(page_of(source->ram(), i), i, 2);
        (void)send(*from.value(), *source, *to.value(), 0, pages / 4);
        REQUIRE(to.value()->flush().ok());

        REQUIRE(source->volume().offer(nonce_of(1), false).ok());
        REQUIRE(from.value()->complete().ok());
        REQUIRE(destination.volume().accept(nonce_of(1)).ok());
        from.value().reset();
        to.value().reset();
        CHECK(source->volume().outcome().value() == handover::given);
        source.reset();

        std::uint64_t wrong = 0;
        for (std::uint64_t i = 0; i < pages; ++i)
            wrong += stamp_holds(page_of(destination.ram(), i), i, i < pages / 4 ? 2 : 1) ? 0 : 1;
        CHECK(wrong == 0);
        stamp_all(destination.ram(), 3);
        CHECK(wrong_pages(destination.ram(), 3) == 0);
    }
}

TEST_CASE("shared store: a migration that is cancelled leaves the source as it was", "[kernel]") {
    temporary_directory directory;
    const std::string path = directory.file("store");
    {
        host source(path);
        stamp_all(source.ram(), 1);
        source.settle();
        {
            host destination(path);
            auto from = source.ram().begin_source({true});
            auto to = destination.ram().begin_target();
            REQUIRE(from.ok());
            REQUIRE(to.ok());
            REQUIRE(destination.volume().attach(source.volume().volume()).ok());
            auto kinds = send(*from.value(), source, *to.value(), 0, pages_in(source.ram()));
            CHECK(kinds[page_kind::located] > 0);
            REQUIRE(to.value()->flush().ok());
            REQUIRE(source.volume().offer(nonce_of(1), false).ok());
            REQUIRE(source.volume().cancel().ok());
            REQUIRE(from.value()->cancel().ok());
            CHECK(destination.volume().accept(nonce_of(1)).code() == errc::wrong_state);
            stamp_all(source.ram(), 2);
        }
        CHECK(wrong_pages(source.ram(), 2) == 0);
        stamp_all(source.ram(), 3);
        CHECK(wrong_pages(source.ram(), 3) == 0);
    }
    require_all_free(path);
}
