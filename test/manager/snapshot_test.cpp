// SPDX-License-Identifier: BSD-3-Clause

/// A region that is saved and brought up again, on the real kernel.

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <unistd.h>

#include "manager/moving.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

/// A file name that nobody has, gone afterwards.
class scratch_file {
  public:
    scratch_file()
        : path_("/var/tmp/uffdmm-snapshot-" + std::to_string(::getpid()) + "-" +
                std::to_string(++made_)) {
        (void)::unlink(path_.c_str());
    }
    ~scratch_file() { (void)::unlink(path_.c_str()); }
    [[nodiscard]] const std::string& path() const { return path_; }

    void damage(std::uint64_t at) const {
        std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(static_cast<std::streamoff>(at));
        const int byte = file.get();
        file.seekp(static_cast<std::streamoff>(at));
        file.put(static_cast<char>(~byte));
    }

  private:
    inline static unsigned made_ = 0;
    std::string path_;
};

/// Contents, repeated words and zeros, some of each in memory and out of it.
void fill_variously(side& s) {
    for (std::uint64_t i = 0; i < pages_in(s.r); i += 1 + i % 2)
        stamp(page_of(s.r, i), i, 1);
    for (std::uint64_t i = 100; i < 200; ++i)
        std::memset(page_of(s.r, i), 0x77, page_size);
    for (std::uint64_t i = 300; i < 400; ++i)
        std::memset(page_of(s.r, i), 0, page_size);
    s.rest();
    REQUIRE(s.r.evict(0, 6 * mib).ok());
    s.rest();
}

} // namespace

TEST_CASE("snapshot: a saved region comes up elsewhere with every byte") {
    const auto how = GENERATE(values<side_options>(
        {{.file = true}, {.file = false, .shards = 3}, {.kind = backing::shared_memory}}));
    CAPTURE(how.file, how.shards, static_cast<int>(how.kind));
    const scratch_file file;
    side from(how);
    fill_variously(from);
    const stats before = from.m.statistics();
    const auto saved = from.r.save(file.path(), {});
    REQUIRE(saved.ok());
    CHECK(from.m.statistics().faults == before.faults);
    CHECK(saved.value().same_filled >= 100);
    CHECK(saved.value().zeros > 1000);
    CHECK(saved.value().contents > 2500);
    CHECK(saved.value().located == 0);
    CHECK(saved.value().file_bytes == std::filesystem::file_size(file.path()));

    for (unsigned time = 0; time < 2; ++time) { // a snapshot of contents may be used again
        side to({.file = true, .shards = 2, .kind = how.kind});
        const auto restored = to.r.restore(file.path());
        REQUIRE(restored.ok());
        if (time == 0) { // before it is all there
            CHECK(std::memcmp(page_of(to.r, 5000), page_of(from.r, 5000), page_size) == 0);
            CHECK(std::memcmp(page_of(to.r, 150), page_of(from.r, 150), page_size) == 0);
        }
        REQUIRE(restored.value()->wait().ok());
        CHECK(restored.value()->restored_bytes() == to.r.size());
        CHECK(different_pages(from.r, to.r) == 0);
        CHECK(to.m.statistics().over_limit_bytes == 0);
    }
}

TEST_CASE("snapshot: a guest that runs while its memory comes back misses nothing") {
    const auto kind = GENERATE(backing::private_anonymous, backing::shared_memory);
    const scratch_file file;
    side from({.file = true, .kind = kind});
    stamp_all(from.r, 1);
    REQUIRE(from.r.save(file.path(), {}).ok());
    side to({.file = true, .shards = 2, .kind = kind});
    const auto restored = to.r.restore(file.path());
    REQUIRE(restored.ok());
    // Each page is read once, then written, in an order that the restoration does not have.
    std::atomic<std::uint64_t> wrong{0};
    std::vector<std::thread> guest;
    for (unsigned cpu = 0; cpu < 2; ++cpu)
        guest.emplace_back([&, cpu] {
            for (std::uint64_t n = cpu; n < pages_in(to.r); n += 2) {
                const std::uint64_t i = n * 2654435761u % pages_in(to.r);
                // Several n may meet at one i: it holds 1 or, written already, 2.
                if (!stamp_holds(page_of(to.r, i), i, 1) && !stamp_holds(page_of(to.r, i), i, 2))
                    ++wrong;
                if (n % 2 == i % 2)
                    stamp(page_of(to.r, i), i, 2);
            }
        });
    for (std::thread& t : guest)
        t.join();
    CHECK(wrong == 0);
    REQUIRE(restored.value()->wait().ok());
    std::uint64_t neither = 0;
    for (std::uint64_t i = 0; i < pages_in(to.r); ++i)
        neither +=
            stamp_holds(page_of(to.r, i), i, 1) || stamp_holds(page_of(to.r, i), i, 2) ? 0 : 1;
    CHECK(neither == 0);
}

TEST_CASE("snapshot: a discard while the region comes back stays a discard") {
    const scratch_file file;
    side from({.file = true});
    stamp_all(from.r, 1);
    REQUIRE(from.r.save(file.path(), {}).ok());
    side to({.file = true});
    const auto restored = to.r.restore(file.path());
    REQUIRE(restored.ok());
    REQUIRE(to.r.discard(20 * mib, 4 * mib).ok()); // comes last
    stamp(page_of(to.r, 20 * mib / page_size), 7, 7);
    REQUIRE(restored.value()->wait().ok());
    CHECK(stamp_holds(page_of(to.r, 20 * mib / page_size), 7, 7));
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 20 * mib / page_size + 1; i < pages_in(to.r); ++i)
        wrong += all_zero(page_of(to.r, i)) ? 0 : 1;
    CHECK(wrong == 0);
    CHECK(stamp_holds(page_of(to.r, 100), 100, 1));
}

TEST_CASE("snapshot: damaged contents poison their pages alone, and are told") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_POISON), "UFFDIO_POISON");
    const scratch_file file;
    side from({.file = true});
    stamp_all(from.r, 1);
    REQUIRE(from.r.save(file.path(), {}).ok());
    file.damage(page_size + 64 * page_size + 17); // in the second window
    side to({.file = true});
    const auto restored = to.r.restore(file.path());
    REQUIRE(restored.ok());
    CHECK(restored.value()->wait().code() == errc::corrupt);
    CHECK_FALSE(readable(page_of(to.r, 64)));
    CHECK_FALSE(readable(page_of(to.r, 127)));
    CHECK(to.m.statistics().poisoned_pages == 64);
    CHECK(stamp_holds(page_of(to.r, 63), 63, 1));
    CHECK(stamp_holds(page_of(to.r, 128), 128, 1));
    // What is lost stays lost.
    const scratch_file second;
    const auto saved = to.r.save(second.path(), {});
    REQUIRE(saved.ok());
    CHECK(saved.value().lost == 64);
    side again({.file = true});
    const auto twice = again.r.restore(second.path());
    REQUIRE(twice.ok());
    REQUIRE(twice.value()->wait().ok());
    CHECK_FALSE(readable(page_of(again.r, 64)));
    CHECK(stamp_holds(page_of(again.r, 128), 128, 1));
}

TEST_CASE("snapshot: what cannot be restored is refused, and the region is as before") {
    const scratch_file file;
    side from({.file = true});
    stamp_all(from.r, 1);
    CHECK(from.r.save("/nonexistent/snapshot", {}).code() == errc::system);
    CHECK(from.r.save(file.path(), {.locations = true}).code() == errc::not_supported);
    CHECK_FALSE(std::filesystem::exists(file.path()));
    REQUIRE(from.r.save(file.path(), {}).ok());
    CHECK_FALSE(std::filesystem::exists(file.path() + ".part"));

    side to({.file = true, .shards = GENERATE(1u, 2u)});
    CHECK(to.r.restore("/nonexistent/snapshot").code() == errc::system);
    CHECK(to.r.restore("/etc/passwd").code() == errc::invalid_argument);
    side smaller({.file = true, .size = 16 * mib});
    CHECK(smaller.r.restore(file.path()).code() == errc::invalid_argument);
    const std::uint64_t end = std::filesystem::file_size(file.path());
    file.damage(end - 1);
    CHECK(to.r.restore(file.path()).code() == errc::corrupt);
    file.damage(end - 1);
    file.damage(20);
    CHECK(to.r.restore(file.path()).code() == errc::corrupt);
    file.damage(20);
    stamp(page_of(to.r, 6000), 6000, 5); // the last shard's
    CHECK(to.r.restore(file.path()).code() == errc::wrong_state);
    CHECK(all_zero(page_of(to.r, 0)));
    CHECK(stamp_holds(page_of(to.r, 6000), 6000, 5));
    REQUIRE(to.r.discard(0, to.r.size()).ok());
    const auto restored = to.r.restore(file.path());
    REQUIRE(restored.ok());
    REQUIRE(restored.value()->wait().ok());
    CHECK(wrong_pages(to.r, 1) == 0);
}

TEST_CASE("snapshot: a region is not saved while its contents are still to come") {
    const scratch_file file;
    const scratch_file again;
    side from({.file = true});
    stamp_all(from.r, 1);
    REQUIRE(from.r.save(file.path(), {}).ok());
    side to({.file = true});
    const auto restored = to.r.restore(file.path());
    REQUIRE(restored.ok());
    if (const auto saved = to.r.save(again.path(), {}); saved.ok())
        CHECK(saved.value().zeros == 0);
    REQUIRE(restored.value()->wait().ok());
    CHECK(wrong_pages(to.r, 1) == 0);
    const auto saved = to.r.save(again.path(), {});
    REQUIRE(saved.ok());
    CHECK(saved.value().zeros == 0);
}

TEST_CASE("snapshot: one restoration at a time") {
    const scratch_file one;
    const scratch_file two;
    side from({.file = true});
    stamp_all(from.r, 1);
    REQUIRE(from.r.save(one.path(), {}).ok());
    stamp_all(from.r, 2);
    REQUIRE(from.r.save(two.path(), {}).ok());
    side to({.file = true});
    const auto first = to.r.restore(one.path());
    REQUIRE(first.ok());
    REQUIRE(to.r.discard(0, to.r.size()).ok());
    if (const auto early = to.r.restore(two.path()); !early.ok()) // unless the first had ended
        CHECK(early.code() == errc::busy);
    CHECK(first.value()->wait().ok());
    REQUIRE(to.r.discard(0, to.r.size()).ok());
    const auto second = to.r.restore(two.path());
    REQUIRE(second.ok());
    CHECK(second.value()->wait().ok());
    CHECK(wrong_pages(to.r, 2) == 0);
}

TEST_CASE("snapshot: where neither memory nor a tier has room, what a fault waits for comes in") {
    const scratch_file file;
    side from({.file = true});
    stamp_all(from.r, 1);
    REQUIRE(from.r.save(file.path(), {}).ok());
    manager_config config = side::config_of({.file = true});
    config.tiers = {file_tier_config{.path = "/var/tmp", .size = 4 * mib, .preallocate = false}};
    manager m(config);
    region& r = m.add_region(side::region_of({.file = true}));
    const auto restored = r.restore(file.path());
    REQUIRE(restored.ok());
    // From the end, where nothing comes in by itself any more.
    std::uint64_t wrong = 0;
    for (std::uint64_t i = pages_in(r); i-- != 0;)
        wrong += stamp_holds(page_of(r, i), i, 1) ? 0 : 1;
    CHECK(wrong == 0);
    CHECK(restored.value()->wait().ok());
    CHECK(m.statistics().over_limit_bytes > 0);
}

TEST_CASE("snapshot: a manager may end while its region comes back") {
    const scratch_file file;
    side from({.file = true});
    stamp_all(from.r, 1);
    REQUIRE(from.r.save(file.path(), {}).ok());
    std::unique_ptr<restoration> restored;
    {
        side to({.file = true});
        restored = to.r.restore(file.path()).value();
        CHECK(to.m.remove_region(to.r, removal::drop).code() == errc::busy);
    }
    const errc code = restored->wait().code();
    CHECK((code == errc::shut_down || code == errc::ok));
}
