// SPDX-License-Identifier: BSD-3-Clause

/// The manager: regions come and go, contents stay.

#include <dirent.h>
#include <sys/mman.h>

#include "support/managed_world.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

struct chain {
    const char* name;
    std::vector<tier_config> tiers;
};

std::vector<chain> chains() {
    file_tier_config file;
    file.path = "/var/tmp";
    file.size = 128 * mib;
    ram_tier_config ram;
    ram.size = 8 * mib;
    ram_tier_config zstd;
    zstd.compression = codec::zstd;
    return {{"compressed RAM", {ram_tier_config{}}},
            {"zstd", {zstd}},
            {"file", {file}},
            {"compressed RAM, then file", {ram, file}}};
}

region_config region_of(backing kind, byte_count size) {
    region_config config;
    config.size = size;
    config.kind = kind;
    return config;
}

int entries_of(const char* folder) {
    DIR* d = ::opendir(folder);
    REQUIRE(d != nullptr);
    int n = 0;
    while (::readdir(d) != nullptr)
        ++n;
    ::closedir(d);
    return n;
}

} // namespace

TEST_CASE("manager: memory far beyond the limit keeps its contents") {
    (void)probe();
    const auto kind = GENERATE(backing::private_anonymous, backing::shared_memory);
    const auto shards = GENERATE(1u, 3u);
    for (const chain& c : chains()) {
        manager_config config;
        config.limit = 24 * mib;
        config.tiers = c.tiers;
        config.workers = 2;
        manager m(config);
        region_config rc = region_of(kind, 64 * mib);
        rc.shards = shards;
        region& r = m.add_region(rc);
        INFO(c.name << (kind == backing::shared_memory ? ", shared" : ", private") << ", " << shards
                    << " shards");
        stamp_all(r, 1);
        CHECK(wrong_pages(r, 1) == 0);
        stamp_all(r, 2);
        CHECK(wrong_pages(r, 2) == 0);
        CHECK(m.statistics().evicted_pages > 0);
        CHECK(m.statistics().poisoned_pages == 0);
    }
}

TEST_CASE("manager: every policy and every prefetcher keeps the contents") {
    (void)probe();
    for (const char* policy : {"fifo", "second_chance", "s3fifo"}) {
        for (const char* prefetch : {"off", "sequential", "stride", "adaptive"}) {
            manager_config config;
            config.limit = 12 * mib;
            manager m(config);
            region_config rc = region_of(backing::private_anonymous, 24 * mib);
            rc.policy = policy;
            rc.prefetch = prefetch;
            region& r = m.add_region(rc);
            INFO(policy << ", " << prefetch);
            stamp_all(r, 1);
            CHECK(wrong_pages(r, 1) == 0);
        }
    }
}

TEST_CASE("manager: regions share the limit and are added and removed while others work") {
    (void)probe();
    manager_config config;
    config.limit = 24 * mib;
    manager m(config);
    region& first = m.add_region(region_of(backing::private_anonymous, 32 * mib));
    stamp_all(first, 1);
    region& second = m.add_region(region_of(backing::shared_memory, 16 * mib));
    stamp_all(second, 2);
    CHECK(wrong_pages(first, 1) == 0);
    CHECK(wrong_pages(second, 2) == 0);
    const stats both = m.statistics();
    CHECK(both.region_bytes == 48 * mib);
    CHECK(m.remove_region(second, removal::drop).ok());
    CHECK(wrong_pages(first, 1) == 0);
    const stats one = m.statistics();
    CHECK(one.region_bytes == 32 * mib);
    CHECK(one.faults >= both.faults); // counters outlive their region
    CHECK(m.remove_region(second, removal::drop).code() == errc::not_found);
}

TEST_CASE("manager: removal keeps the contents as plain memory") {
    (void)probe();
    manager_config config;
    config.limit = 24 * mib;
    manager m(config);
    SECTION("adopted private memory") {
        void* p =
            ::mmap(nullptr, 16 * mib, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        REQUIRE(p != MAP_FAILED);
        region_config rc = region_of(backing::private_anonymous, 16 * mib);
        rc.address = p;
        region& r = m.add_region(rc);
        stamp_all(r, 1);
        REQUIRE(r.evict(0, 16 * mib).ok());
        CHECK(m.remove_region(r, removal::keep).ok());
        for (std::uint64_t i = 0; i < 16 * mib / page_size; ++i)
            REQUIRE(stamp_holds(static_cast<std::byte*>(p) + i * page_size, i, 1));
        ::munmap(p, 16 * mib);
    }
    SECTION("library-allocated memory belongs to the caller then") {
        region& r = m.add_region(region_of(backing::private_anonymous, 8 * mib));
        stamp_all(r, 1);
        std::byte* const data = r.data();
        CHECK(m.remove_region(r, removal::keep).ok());
        for (std::uint64_t i = 0; i < 8 * mib / page_size; ++i)
            REQUIRE(stamp_holds(data + i * page_size, i, 1));
        CHECK(::munmap(data, 8 * mib) == 0);
    }
}

TEST_CASE("manager: removal that would exceed the limit is refused and says by how much") {
    (void)probe();
    manager_config config;
    config.limit = 16 * mib;
    manager m(config);
    region& r = m.add_region(region_of(backing::private_anonymous, 32 * mib));
    stamp_all(r, 1);
    const byte_count missing = m.missing_bytes(r);
    CHECK(missing >= 16 * mib);
    CHECK(missing <= 32 * mib);
    CHECK(m.remove_region(r, removal::keep).code() == errc::limit_too_small);
    CHECK(wrong_pages(r, 1) == 0); // nothing changed
    std::byte* const data = r.data();
    CHECK(m.remove_region(r, removal::keep_over_limit).ok());
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < 32 * mib / page_size; ++i)
        wrong += stamp_holds(data + i * page_size, i, 1) ? 0 : 1;
    CHECK(wrong == 0);
    ::munmap(data, 32 * mib);
}

TEST_CASE("manager: adopted memory keeps what it held before") {
    (void)probe();
    manager_config config;
    config.limit = 12 * mib;
    manager m(config);
    SECTION("private") {
        auto* p = static_cast<std::byte*>(
            ::mmap(nullptr, 24 * mib, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        REQUIRE(static_cast<void*>(p) != MAP_FAILED);
        for (std::uint64_t i = 0; i < 24 * mib / page_size; i += 2)
            stamp(p + i * page_size, i, 7);
        region_config rc = region_of(backing::private_anonymous, 24 * mib);
        rc.address = p;
        region& r = m.add_region(rc);
        std::uint64_t wrong = 0;
        for (std::uint64_t i = 0; i < pages_in(r); ++i)
            wrong +=
                (i % 2 == 0 ? stamp_holds(page_of(r, i), i, 7) : all_zero(page_of(r, i))) ? 0 : 1;
        CHECK(wrong == 0);
        CHECK(m.statistics().over_limit_bytes == 0);
        CHECK(m.remove_region(r, removal::drop).ok());
        ::munmap(p, 24 * mib);
    }
    SECTION("a memfd, mapped at an offset") {
        const int fd = ::memfd_create("guest", MFD_CLOEXEC);
        REQUIRE(::ftruncate(fd, 32 * mib) == 0);
        auto* p = static_cast<std::byte*>(
            ::mmap(nullptr, 24 * mib, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 8 * mib));
        REQUIRE(static_cast<void*>(p) != MAP_FAILED);
        for (std::uint64_t i = 0; i < 24 * mib / page_size; i += 3)
            stamp(p + i * page_size, i, 7);
        region_config rc = region_of(backing::shared_memory, 24 * mib);
        rc.address = p;
        rc.fd = fd;
        rc.fd_offset = 8 * mib;
        region& r = m.add_region(rc);
        std::uint64_t wrong = 0;
        for (std::uint64_t i = 0; i < pages_in(r); ++i)
            wrong +=
                (i % 3 == 0 ? stamp_holds(page_of(r, i), i, 7) : all_zero(page_of(r, i))) ? 0 : 1;
        CHECK(wrong == 0);
        stamp_all(r, 8);
        CHECK(wrong_pages(r, 8) == 0);
        CHECK(m.remove_region(r, removal::keep_over_limit).ok());
        for (std::uint64_t i = 0; i < 24 * mib / page_size; ++i)
            REQUIRE(stamp_holds(p + i * page_size, i, 8));
        ::munmap(p, 24 * mib);
        ::close(fd);
    }
}

TEST_CASE("manager: what is refused leaves no thread, descriptor or mapping behind") {
    (void)probe();
    const int fds = entries_of("/proc/self/fd");
    const int threads = entries_of("/proc/self/task");
    SECTION("a limit that cannot hold the metadata") {
        manager_config config;
        config.limit = 4 * mib;
        manager m(config);
        try {
            (void)m.add_region(region_of(backing::private_anonymous, 4096 * mib));
            FAIL("refused");
        } catch (const setup_error& e) {
            CHECK(e.code() == errc::limit_too_small);
            CHECK(std::string(e.what()).find("limit") != std::string::npos);
        }
        CHECK(m.statistics().host_memory_bytes == 0);
        CHECK_NOTHROW(m.add_region(region_of(backing::private_anonymous, 8 * mib)));
    }
    SECTION("a policy that does not exist") {
        manager_config config;
        config.limit = 16 * mib;
        manager m(config);
        region_config rc = region_of(backing::private_anonymous, 8 * mib);
        rc.policy = "lru";
        CHECK_THROWS_AS(m.add_region(rc), setup_error);
    }
    SECTION("a tier whose factory fails") {
        manager_config config;
        config.limit = 16 * mib;
        config.tiers = {
            ram_tier_config{},
            custom_tier_config{"bad", [](const tier_context&) -> std::unique_ptr<swap_tier> {
                                   throw setup_error(errc::io_error, "bad: no such store");
                               }}};
        manager m(config);
        CHECK_THROWS_AS(m.add_region(region_of(backing::private_anonymous, 8 * mib)), setup_error);
    }
    SECTION("a file tier in a folder that does not exist") {
        manager_config config;
        config.limit = 16 * mib;
        file_tier_config file;
        file.path = "/nowhere/at/all";
        file.size = mib;
        config.tiers = {file};
        CHECK_THROWS_AS(manager(config), setup_error);
    }
    CHECK(entries_of("/proc/self/fd") == fds);
    CHECK(entries_of("/proc/self/task") == threads);
}

TEST_CASE("manager: one_uffd_per_range: a range that has a userfaultfd is refused and left alone") {
    (void)probe();
    manager_config config;
    config.limit = 16 * mib;
    manager one(config);
    manager other(config);
    region& r = one.add_region(region_of(backing::private_anonymous, 8 * mib));
    stamp_all(r, 1);
    region_config again = region_of(backing::private_anonymous, 8 * mib);
    again.address = r.data();
    try {
        (void)other.add_region(again);
        FAIL("refused");
    } catch (const setup_error& e) {
        CHECK(e.code() == errc::busy);
    }
    CHECK(wrong_pages(r, 1) == 0);
}

TEST_CASE("manager: the end of a manager ends its regions, also while they are being touched") {
    (void)probe();
    std::byte* data = nullptr;
    {
        manager_config config;
        config.limit = 8 * mib;
        manager m(config);
        region& r = m.add_region(region_of(backing::private_anonymous, 16 * mib));
        data = r.data();
        stamp_all(r, 1);
    }
    unsigned char ignored = 0;
    CHECK(::mincore(data, page_size, &ignored) != 0); // unmapped
}

TEST_CASE("manager: a region ends while its tier gives freed blocks back") {
    (void)probe();
    manager_config config;
    config.limit = 12 * mib;
    file_tier_config file;
    file.path = "/var/tmp";
    file.size = 64 * mib;
    file.preallocate = false; // freed slots are punched by a worker
    config.tiers = {file};
    manager m(config);
    for (unsigned round = 0; round < 8; ++round) {
        region& r = m.add_region(region_of(backing::private_anonymous, 24 * mib));
        stamp_all(r, round);
        CHECK(r.discard(0, 20 * mib).ok());
        CHECK(m.remove_region(r, removal::drop).ok());
    }
    CHECK(m.statistics().host_memory_bytes == 0);
}
