// SPDX-License-Identifier: BSD-3-Clause

/// Regions whose swapped pages stay where they are when they move: by migration, by a snapshot.

#include <atomic>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include "manager/moving.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

class scratch_directory {
  public:
    scratch_directory() {
        char name[] = "/var/tmp/uffdmm-handover-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        path_ = name;
    }
    ~scratch_directory() { std::filesystem::remove_all(path_); }
    [[nodiscard]] std::string file(const char* name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

constexpr handover_nonce nonce{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

std::uint64_t count(const mover& m, page_kind kind) {
    return m.kinds[static_cast<unsigned>(kind)];
}

} // namespace

TEST_CASE("handover: a guest that runs moves with the locations of its swapped pages") {
    const auto shards = GENERATE(1u, 2u);
    const scratch_directory directory;
    const std::string store = directory.file("store");
    side from({.file = true, .shards = shards, .store = store});
    std::optional<side> to(std::in_place, side_options{.file = true, .store = store});
    dirty_log log(pages_in(from.r));
    stamp_all(from.r, 1);
    log.all();
    std::vector<std::byte> before;
    {
        std::atomic<bool> stop{false};
        std::thread guest([&] { write_at_random(from.r, log, stop, 0); });
        REQUIRE(to->r.store()->attach(from.r.store()->volume()).ok());
        const auto source = from.r.begin_source({.locations = true}).value();
        const auto target = to->r.begin_target().value();
        mover move(from.r, *source, *target);
        for (unsigned pass = 0; pass < 3; ++pass)
            move.dirty(log);
        stop = true;
        guest.join();
        // Afterwards what the source has swapped out is not its own any more.
        before.assign(from.r.data(), from.r.data() + from.r.size());
        move.dirty(log);
        REQUIRE(target->flush().ok());
        CHECK(count(move, page_kind::located) > 1000);
        REQUIRE(from.r.store()->offer(nonce, false).ok());
        REQUIRE(to->r.store()->accept(nonce).ok());
        REQUIRE(source->complete().ok());
        CHECK(from.r.store()->outcome().value() == handover::given);
    }
    CHECK(different_pages(before.data(), to->r) == 0);
    // It is its own now: demoted, freed and written like any other page.
    stamp_all(to->r, 9);
    CHECK(wrong_pages(to->r, 9) == 0);
}

TEST_CASE("handover: a cancelled one leaves every page where it was, and nothing leased") {
    const scratch_directory directory;
    const std::string store = directory.file("store");
    side from({.file = true, .store = store});
    stamp_all(from.r, 1);
    {
        side to({.file = true, .store = store});
        REQUIRE(to.r.store()->attach(from.r.store()->volume()).ok());
        auto source = from.r.begin_source({.locations = true}).value();
        auto target = to.r.begin_target().value();
        mover move(from.r, *source, *target);
        for (std::uint64_t i = 0; i < pages_in(from.r); ++i)
            move.page(i);
        REQUIRE(target->flush().ok());
        CHECK(count(move, page_kind::located) > 1000);
        target.reset();
        CHECK(to.r.discard(0, to.r.size()).ok());
        CHECK(to.r.store()->detach().ok());
        REQUIRE(from.r.store()->offer(nonce, false).ok());
        REQUIRE(from.r.store()->cancel().ok());
        REQUIRE(source->cancel().ok());
    }
    CHECK(wrong_pages(from.r, 1) == 0);
    stamp_all(from.r, 2);
    from.rest();
    CHECK(wrong_pages(from.r, 2) == 0);
    REQUIRE(from.r.discard(0, from.r.size()).ok());
    from.rest();
    CHECK(from.m.statistics().tiers.at(1).pages == 0);
}

TEST_CASE("handover: a target that has no such store, or no volume attached, refuses a location") {
    const scratch_directory directory;
    side from({.file = true, .store = directory.file("store")});
    stamp_all(from.r, 1);
    REQUIRE(from.r.evict(0, mib).ok());
    const auto source = from.r.begin_source({.locations = true}).value();
    const page_view view = source->page(0).value();
    REQUIRE(view.record.kind == page_kind::located);
    for (const char* name : {"", "other", "store"}) {
        const std::string store = *name == 0 ? name : directory.file(name);
        side to({.file = true, .store = store});
        const auto target = to.r.begin_target().value();
        REQUIRE(target->adopt(0, *view.place).ok()); // collected
        const errc code = target->flush().code();
        CHECK(code == (std::string(name) == "store" ? errc::wrong_state : errc::not_found));
        CHECK(all_zero(page_of(to.r, 0)));
    }
}

TEST_CASE("handover: a region saved to a store comes up elsewhere as locations") {
    const scratch_directory directory;
    const std::string store = directory.file("store");
    const std::string file = directory.file("snapshot");
    std::uint64_t pages = 0;
    {
        side from({.file = true, .shards = 2, .store = store});
        stamp_all(from.r, 1);
        REQUIRE(from.r.discard(0, mib).ok());
        pages = pages_in(from.r);
        const auto saved = from.r.save(file, {.locations = true});
        REQUIRE(saved.ok());
        CHECK(saved.value().located == pages - mib / page_size);
        CHECK(saved.value().contents == 0);
        CHECK(saved.value().file_bytes < pages * 56);
    }
    side to({.file = true, .store = store});
    const auto restored = to.r.restore(file);
    REQUIRE(restored.ok());
    CHECK(stamp_holds(page_of(to.r, pages - 1), pages - 1, 1));
    REQUIRE(restored.value()->wait().ok());
    CHECK(to.m.statistics().tiers.at(1).writes == 0); // nothing was copied
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < pages; ++i)
        wrong +=
            (i < mib / page_size ? all_zero(page_of(to.r, i)) : stamp_holds(page_of(to.r, i), i, 1))
                ? 0
                : 1;
    CHECK(wrong == 0);
    stamp_all(to.r, 3);
    CHECK(wrong_pages(to.r, 3) == 0);
    // Its volume has passed on: nobody can take it again.
    side late({.file = true, .store = store});
    const auto again = late.r.restore(file);
    CHECK_FALSE((again.ok() && again.value()->wait().ok()));
}
