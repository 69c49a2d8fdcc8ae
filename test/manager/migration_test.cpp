// SPDX-License-Identifier: BSD-3-Clause

/// A region that moves to another manager while its guest runs, on the real kernel.

#include <atomic>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include "manager/moving.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

TEST_CASE("migration: a resting region is read without a fault, a swap-in or a change") {
    const auto how = GENERATE(values<side_options>({{.file = false},
                                                    {.file = true},
                                                    {.file = true, .shards = 3},
                                                    {.file = true, .kind = backing::shared_memory},
                                                    {.kind = backing::shared_memory}}));
    CAPTURE(how.file, how.shards, static_cast<int>(how.kind));
    side from(how);
    side to(how);
    for (std::uint64_t i = 0; i < pages_in(from.r); i += 1 + i % 2) // every third is untouched
        stamp(page_of(from.r, i), i, 1);
    for (std::uint64_t i = 30; i < 60; ++i)
        std::memset(page_of(from.r, i), 0x77, page_size);
    from.rest();
    REQUIRE(from.r.evict(0, 4 * mib).ok());
    from.rest();
    const stats before = from.m.statistics();
    {
        const auto source = from.r.begin_source({}).value();
        const auto target = to.r.begin_target().value();
        mover move(from.r, *source, *target);
        for (std::uint64_t i = 0; i < pages_in(from.r); ++i)
            move.page(i);
        REQUIRE(target->flush().ok());
        CHECK(move.kinds[static_cast<unsigned>(page_kind::same_filled)] == 30);
        CHECK(move.kinds[static_cast<unsigned>(page_kind::swapped)] > 300);
        CHECK(move.kinds[static_cast<unsigned>(page_kind::resident)] > 1000);
        CHECK(move.kinds[static_cast<unsigned>(page_kind::untouched)] > 1000);
    }
    const stats after = from.m.statistics();
    CHECK(after.faults == before.faults);
    CHECK(after.refaults == before.refaults);
    CHECK(after.evicted_pages == before.evicted_pages);
    CHECK(after.resident_bytes == before.resident_bytes);
    CHECK(after.prefetched_pages == before.prefetched_pages);
    for (std::size_t t = 0; t < after.tiers.size(); ++t) {
        CHECK(after.tiers[t].reads == before.tiers[t].reads);
        CHECK(after.tiers[t].writes == before.tiers[t].writes);
    }
    CHECK(after.migration_reads > 300);
    CHECK(to.m.statistics().over_limit_bytes == 0);
    CHECK(to.m.statistics().faults == 0);
    CHECK(different_pages(from.r, to.r) == 0);
}

TEST_CASE("migration: a region that its guest writes to arrives as it was when the guest stopped") {
    const auto how = GENERATE(values<side_options>(
        {{.file = true}, {.file = false, .shards = 2}, {.kind = backing::shared_memory}}));
    CAPTURE(how.file, how.shards, static_cast<int>(how.kind));
    side from(how);
    side to({.file = true});
    dirty_log log(pages_in(from.r));
    stamp_all(from.r, 1);
    log.all();

    std::atomic<bool> stop{false};
    std::vector<std::thread> guest;
    for (unsigned cpu = 0; cpu < 2; ++cpu)
        guest.emplace_back([&, cpu] { write_at_random(from.r, log, stop, cpu); });

    const auto source = from.r.begin_source({}).value();
    const auto target = to.r.begin_target().value();
    mover move(from.r, *source, *target);
    for (unsigned pass = 0; pass < 4; ++pass)
        move.dirty(log);
    stop = true;
    for (std::thread& t : guest)
        t.join();
    move.dirty(log);
    REQUIRE(target->flush().ok());
    CHECK(move.kinds[static_cast<unsigned>(page_kind::swapped)] > 300);
    CHECK(different_pages(from.r, to.r) == 0);
}

TEST_CASE("migration: a cancelled one leaves a guest that goes on") {
    side from({.file = true});
    stamp_all(from.r, 1);
    from.rest();
    {
        const auto source = from.r.begin_source({}).value();
        for (std::uint64_t i = 0; i < 500; ++i)
            REQUIRE(source->page(i * page_size).ok());
        REQUIRE(source->cancel().ok());
        CHECK(source->page(0).code() == errc::wrong_state);
        CHECK(from.r.begin_source({}).code() == errc::busy);
    }
    CHECK(from.r.begin_source({}).ok());
    CHECK(wrong_pages(from.r, 1) == 0);
}

TEST_CASE("migration: a region in migration is not removed, and its objects outlive its manager") {
    auto from = std::make_unique<side>(side_options{});
    auto source = from->r.begin_source({}).value();
    CHECK(from->m.remove_region(from->r, removal::drop).code() == errc::busy);
    auto target = from->r.begin_target().value();
    source.reset();
    CHECK(from->m.remove_region(from->r, removal::drop).code() == errc::busy);
    source = from->r.begin_source({}).value();
    const std::vector<std::byte> page(page_size);
    REQUIRE(target->put(0, page, warmth::warm).ok());
    from.reset();
    CHECK(source->page(0).code() == errc::wrong_state);
    CHECK(source->walk(0, page_size).code() == errc::wrong_state);
    CHECK(target->put(0, page, warmth::warm).code() == errc::wrong_state);
    CHECK(target->flush().code() == errc::wrong_state);
}

TEST_CASE("migration: a page that is asked for again is what it is by then") {
    side s({.file = true});
    stamp_all(s.r, 1);
    REQUIRE(s.r.evict(0, s.r.size()).ok());
    s.rest();
    const auto source = s.r.begin_source({}).value();
    for (std::uint32_t version = 2; version <= 4; ++version) {
        stamp(page_of(s.r, 5), 5, version);
        REQUIRE(s.r.evict(5 * page_size, page_size).ok());
        s.rest();
        for (unsigned time = 0; time < 2; ++time) {
            const auto view = source->page(5 * page_size);
            REQUIRE(view.ok());
            REQUIRE(view.value().record.kind == page_kind::swapped);
            CHECK(stamp_holds(view.value().contents, 5, version));
        }
    }
}

TEST_CASE("migration: a page that changes while the window ahead waits is what it is when asked") {
    side s({.file = true});
    stamp_all(s.r, 1);
    REQUIRE(s.r.evict(0, s.r.size()).ok());
    s.rest();
    const auto source = s.r.begin_source({}).value();
    const std::uint64_t pages = pages_in(s.r);
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < pages; ++i) {
        const std::uint64_t later = i + 40; // in the window ahead, often
        if (later < pages && later % 3 == 0) {
            stamp(page_of(s.r, later), later, 2);
            REQUIRE(s.r.evict(later * page_size, page_size).ok());
        }
        const auto view = source->page(i * page_size);
        REQUIRE(view.ok());
        const std::uint32_t version = i >= 40 && i % 3 == 0 ? 2 : 1;
        const std::byte* holds = view.value().record.kind == page_kind::swapped
                                     ? view.value().contents
                                     : page_of(s.r, i);
        wrong += stamp_holds(holds, i, version) ? 0 : 1;
    }
    CHECK(wrong == 0);
}

TEST_CASE("migration: a manager may end while a window ahead is being looked at") {
    for (unsigned round = 0; round < 20; ++round) {
        auto from = std::make_unique<side>(side_options{.shards = 2});
        stamp_all(from->r, 1);
        auto source = from->r.begin_source({}).value();
        for (std::uint64_t i = 0; i < 200 + round; ++i)
            REQUIRE(source->page(i * page_size).ok());
        from.reset();
        CHECK(source->page(0).code() == errc::wrong_state);
    }
}

TEST_CASE("migration: a manager may end while pages arrive") {
    const std::vector<std::byte> pages(200 * page_size, std::byte{1});
    for (unsigned round = 0; round < 20; ++round) {
        auto to = std::make_unique<side>(side_options{.file = true, .shards = 2});
        auto target = to->r.begin_target().value();
        REQUIRE(target->put(round * page_size, pages, warmth::cold).ok());
        to.reset();
        CHECK(target->flush().code() == errc::wrong_state);
    }
}

TEST_CASE("migration: walk covers the range with runs of one kind each") {
    side s({.file = true, .shards = 2});
    stamp_all(s.r, 1);
    REQUIRE(s.r.evict(0, s.r.size()).ok());
    REQUIRE(s.r.discard(4 * mib, 8 * mib).ok());
    std::memset(s.r.data() + 6 * mib, 1, page_size);
    const auto source = s.r.begin_source({}).value();
    const auto runs = source->walk(mib, s.r.size() - mib);
    REQUIRE(runs.ok());
    byte_count end = mib;
    for (const record_run& run : runs.value()) {
        CHECK(run.offset == end);
        end += run.length;
    }
    CHECK(end == s.r.size());
    REQUIRE(runs.value().size() == 5);
    CHECK(runs.value()[0].what.kind == page_kind::swapped);
    CHECK(runs.value()[0].length == 3 * mib);
    CHECK(runs.value()[0].what.tier == 1);
    CHECK(runs.value()[1].what.kind == page_kind::untouched);
    CHECK(runs.value()[2].what.kind == page_kind::resident);
    CHECK(runs.value()[2].offset == 6 * mib);
    CHECK(runs.value()[2].length == page_size);
    CHECK(s.m.statistics().migration_reads == 0);
}

TEST_CASE("migration: look reads a range at once, and refuses what it cannot fill") {
    side s({.file = true, .shards = 2});
    stamp_all(s.r, 3);
    s.rest();
    REQUIRE(s.r.evict(7 * mib, 2 * mib).ok());
    const auto source = s.r.begin_source({}).value();
    constexpr std::size_t pages = 3 * mib / page_size;
    std::vector<page_record> records(pages);
    const page_buffer buffer(pages + 1);
    REQUIRE(source->look(7 * mib, 3 * mib, {records, buffer.data()}).ok());
    std::uint64_t wrong = 0;
    std::uint64_t read = 0;
    for (std::size_t i = 0; i < pages; ++i) {
        if (records[i].kind != page_kind::swapped)
            continue;
        ++read;
        const std::uint64_t page = 7 * mib / page_size + i;
        wrong += stamp_holds(buffer.data() + i * page_size, page, 3) ? 0 : 1;
    }
    CHECK(read >= 2 * mib / page_size);
    CHECK(wrong == 0);
    CHECK(source->look(0, 2 * page_size, {std::span(records).first(1)}).code() ==
          errc::invalid_argument);
    CHECK(source->look(0, page_size, {std::span(records).first(1), buffer.data() + 8}).code() ==
          errc::invalid_argument);
    CHECK(source->look(0, page_size, {std::span(records).first(1), s.r.data()}).code() ==
          errc::invalid_argument);
    CHECK(source->look(s.r.size(), page_size, {std::span(records).first(1)}).code() ==
          errc::invalid_argument);
    CHECK(source->page(1).code() == errc::invalid_argument);
    CHECK(source->page(s.r.size()).code() == errc::invalid_argument);
}

TEST_CASE(
    "migration: contents that came through another mapping of the file are read in the guest") {
    (void)probe();
    const int fd = ::memfd_create("alias", MFD_CLOEXEC);
    REQUIRE(::ftruncate(fd, 8 * mib) == 0);
    void* mapped = ::mmap(nullptr, 8 * mib, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    REQUIRE(mapped != MAP_FAILED);
    {
        manager m({.limit = 8 * mib});
        region_config config;
        config.size = 8 * mib;
        config.kind = backing::shared_memory;
        config.address = mapped;
        config.fd = fd;
        region& r = m.add_region(config);
        const char word[] = "from elsewhere";
        REQUIRE(::pwrite(fd, word, sizeof word, 5 * page_size) == sizeof word);
        const auto source = r.begin_source({}).value();
        CHECK(source->page(4 * page_size).value().record.kind == page_kind::untouched);
        CHECK(source->page(5 * page_size).value().record.kind == page_kind::resident);
        CHECK(source->page(6 * page_size).value().record.kind == page_kind::untouched);
        REQUIRE(::pwrite(fd, word, sizeof word, 6 * page_size) == sizeof word);
        CHECK(source->page(6 * page_size).value().record.kind == page_kind::resident);
        CHECK(std::strcmp(reinterpret_cast<const char*>(r.data()) + 5 * page_size, word) == 0);
        // A target makes it zeros all the same.
        const auto target = r.begin_target().value();
        REQUIRE(target->zero(0, 8 * mib).ok());
        REQUIRE(target->flush().ok());
        CHECK(all_zero(page_of(r, 5)));
        CHECK(all_zero(page_of(r, 6)));
    }
    ::munmap(mapped, 8 * mib);
    ::close(fd);
}

TEST_CASE("migration: a page that is sent again replaces what had arrived, wherever it is") {
    const auto how = GENERATE(values<side_options>(
        {{.file = true}, {.file = false, .shards = 3}, {.kind = backing::shared_memory}}));
    side to(how);
    const auto target = to.r.begin_target().value();
    std::mt19937_64 random(5);
    std::vector<std::uint64_t> versions(pages_in(to.r));
    page_buffer page(1);
    for (unsigned round = 0; round < 40'000; ++round) {
        const std::uint64_t i = random() % 1000;
        if (random() % 8 == 0) {
            versions[i] = 0;
            REQUIRE(target->zero(i * page_size, page_size).ok());
        } else {
            versions[i] = round + 1;
            stamp(page.data(), i, versions[i]);
            const warmth how_warm = random() % 2 == 0 ? warmth::warm : warmth::cold;
            REQUIRE(target->put(i * page_size, {page.data(), page_size}, how_warm).ok());
        }
        if (round % 1000 == 0) {
            REQUIRE(target->flush().ok());
            (void)to.r.evict(random() % 900 * page_size, 100 * page_size);
            (void)to.r.prefetch(random() % 900 * page_size, 100 * page_size);
        }
    }
    REQUIRE(target->flush().ok());
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < versions.size(); ++i) {
        const std::byte* p = page_of(to.r, i);
        wrong += (versions[i] == 0 ? all_zero(p) : stamp_holds(p, i, versions[i])) ? 0 : 1;
    }
    CHECK(wrong == 0);
}

TEST_CASE("migration: what does not fit a target's memory and tiers is refused") {
    manager_config config;
    config.limit = 8 * mib;
    config.tiers = {ram_tier_config{.size = 2 * mib}};
    (void)probe();
    manager m(config);
    region_config of_region;
    of_region.size = 32 * mib;
    region& r = m.add_region(of_region);
    const auto target = r.begin_target().value();
    page_buffer page(1);
    std::mt19937_64 random(1);
    result<void> done;
    std::uint64_t i = 0;
    for (; done.ok() && i < pages_in(r); ++i) {
        for (std::size_t at = 0; at < page_size; at += 8) {
            const std::uint64_t word = random();
            std::memcpy(page.data() + at, &word, sizeof word);
        }
        done = target->put(i * page_size, {page.data(), page_size}, warmth::cold);
    }
    CHECK(done.code() == errc::full);
    CHECK(i > 1000);
    REQUIRE(target->zero(0, r.size()).ok());
    REQUIRE(target->flush().ok());
    CHECK(all_zero(page_of(r, 0)));
    CHECK(all_zero(page_of(r, i - 1)));
}
