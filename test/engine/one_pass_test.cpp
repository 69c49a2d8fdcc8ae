// SPDX-License-Identifier: BSD-3-Clause

/// Threads that read memory once from end to end: who is one, and what they leave alone.

#include "engine/small_world.hpp"
#include "uffdmm/engine/one_pass_readers.hpp"
#include "uffdmm/engine/passing_pages.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

constexpr page_count shard_pages = 4096; // a good stretch is a sixteenth of it: 256
constexpr std::uint32_t reader = 7;

/// Reads every `step`th page in [from, to); returns what the last fault said.
reader_progress sweep(one_pass_readers& readers, std::uint32_t thread, std::uint32_t from,
                      std::uint32_t to, std::uint32_t step) {
    reader_progress last;
    for (std::uint32_t page = from; page < to; page += step)
        last = readers.saw(thread, {page}, false);
    return last;
}

} // namespace

TEST_CASE("one-pass: a thread that reads on and on is a reader") {
    one_pass_readers readers(shard_pages);
    CHECK_FALSE(sweep(readers, reader, 0, 7 * 64, 64).one_pass);
    CHECK(sweep(readers, reader, 7 * 64, 9 * 64, 64).one_pass);
    const reader_progress now = sweep(readers, reader, 9 * 64, 10 * 64, 64);
    CHECK(now.one_pass);
    CHECK(now.passed == page_run{{7 * 64}, 64}); // it may look at the next ones again
}

TEST_CASE("one-pass: a short stretch is not enough, however many faults it takes") {
    one_pass_readers readers(shard_pages);
    CHECK_FALSE(sweep(readers, reader, 0, 256, 1).one_pass);
    CHECK(sweep(readers, reader, 256, 258, 1).one_pass);
}

TEST_CASE("one-pass: threads are told apart, and one without a name is none") {
    one_pass_readers readers(shard_pages);
    for (std::uint32_t page = 0; page < 2048; page += 64) {
        (void)readers.saw(reader, {page}, false);
        CHECK_FALSE(readers.saw(8, {4000 - page}, false).one_pass);
        CHECK_FALSE(readers.saw(0, {page}, false).one_pass);
    }
    CHECK(readers.saw(reader, {2048}, false).one_pass);
}

TEST_CASE("one-pass: writing, or going back, ends it") {
    one_pass_readers readers(shard_pages);
    REQUIRE(sweep(readers, reader, 0, 1024, 64).one_pass);
    CHECK_FALSE(readers.saw(reader, {1024}, true).one_pass);
    CHECK_FALSE(readers.saw(reader, {1088}, false).one_pass);

    REQUIRE(sweep(readers, 9, 0, 1024, 64).one_pass);
    CHECK_FALSE(readers.saw(9, {512}, false).one_pass);
}

TEST_CASE("one-pass: a jump over resident pages does not end it, but no stretch is made of jumps") {
    one_pass_readers readers(1u << 20);
    CHECK_FALSE(sweep(readers, reader, 0, 1u << 20, 2048).one_pass);

    REQUIRE(sweep(readers, 9, 0, 8192, 64).one_pass);
    const reader_progress far = readers.saw(9, {500'000}, false);
    CHECK(far.one_pass);
    CHECK(far.passed.count == 1024);
}

TEST_CASE("one-pass: after half of the memory it may begin again") {
    one_pass_readers readers(shard_pages);
    REQUIRE(sweep(readers, reader, 0, 3000, 64).one_pass);
    CHECK(readers.saw(reader, {0}, false).one_pass);
    CHECK(readers.saw(reader, {640}, false).one_pass);
    CHECK_FALSE(readers.saw(reader, {0}, false).one_pass);
}

TEST_CASE("one-pass: looking again at what it has just read does not end it") {
    one_pass_readers readers(shard_pages);
    REQUIRE(sweep(readers, reader, 0, 1024, 64).one_pass);
    const reader_progress again = readers.saw(reader, {940}, false);
    CHECK(again.one_pass);
    CHECK(again.passed.count == 0);
    const reader_progress on = readers.saw(reader, {1024}, false);
    CHECK(on.one_pass);
    CHECK(on.passed == page_run{{896}, 64});
    CHECK_FALSE(readers.saw(reader, {1024 - 300}, false).one_pass);
}

TEST_CASE("one-pass: more threads than are remembered push out the one that was idle longest") {
    one_pass_readers readers(shard_pages);
    REQUIRE(sweep(readers, 1, 0, 1024, 64).one_pass);
    REQUIRE(sweep(readers, 2, 0, 1024, 64).one_pass);
    for (std::uint32_t thread = 10; thread < 17; ++thread)
        (void)readers.saw(thread, {0}, false);
    CHECK(readers.saw(2, {1024}, false).one_pass);
    CHECK_FALSE(readers.saw(1, {1024}, false).one_pass);
}

TEST_CASE("one-pass: passed pages are taken a window at a time, oldest first") {
    passing_pages passed;
    passed.add({{100}, 20});
    passed.add({{120}, 30}); // goes on: one run
    passed.add({{1000}, 1});
    CHECK(passed.take(64) == page_run{{100}, 28});
    CHECK(passed.take(64) == page_run{{128}, 22});
    CHECK(passed.take(64) == page_run{{1000}, 1});
    CHECK(passed.empty());
}

TEST_CASE("one-pass: when too many runs were passed the oldest are forgotten") {
    passing_pages passed;
    for (std::uint32_t i = 0; i < 70; ++i)
        passed.add({{i * 10}, 1});
    CHECK(passed.take(64) == page_run{{60}, 1});
}

namespace {

/// A guest that works with a quarter of its memory, at room for it and a little more, on a tier
/// like a disk.
world_options guest_world() {
    world_options o = quiet_world({.synchronous = false, .counts_in_limit = false});
    o.pages = 2048;
    o.room = 800;
    o.policy = "s3fifo";
    o.prefetch = "adaptive";
    o.vcpus = 2;
    return o;
}
constexpr page_count working_set = 512;

/// Fills the memory, then settles the working set: pages 0..511 in an order of its own.
void settle(shard_world& w) {
    write(w, {{0}, w.options.pages});
    for (unsigned round = 0; round < 12; ++round)
        for (std::uint32_t i = 0; i < working_set; ++i)
            w.touch({(i * 197 + round * 31) % working_set}, false);
}

/// The guest goes on working while vCPU 1 reads all of memory as `thread`; returns the guest's
/// faults in that time.
std::uint64_t faults_beside_reader(shard_world& w, std::uint32_t thread, bool reading) {
    w.os.vcpus[1].thread = thread;
    w.os.vcpus[0].thread = thread == 0 ? 0 : 1;
    const std::uint64_t before = w.os.vcpus[0].faults;
    std::uint32_t at = 0;
    for (std::uint32_t page = 0; page < w.options.pages; ++page) {
        if (reading) {
            w.wait_for_vcpu(1);
            w.start_access(1, {page}, false);
            w.wait_for_vcpu(1);
        }
        w.touch({(at++ * 197) % working_set}, false);
    }
    return w.os.vcpus[0].faults - before;
}

} // namespace

TEST_CASE("one-pass: what a reader has passed leaves before what the guest works with") {
    shard_world alone(guest_world());
    shard_world unknown(guest_world());
    shard_world known(guest_world());
    settle(alone);
    settle(unknown);
    settle(known);
    const std::uint64_t quiet = faults_beside_reader(alone, 0, false);
    const std::uint64_t disturbed = faults_beside_reader(unknown, 0, true);
    const std::uint64_t spared = faults_beside_reader(known, reader, true);
    CHECK(counts(unknown).one_pass_faults.load() == 0);
    CHECK(counts(known).one_pass_faults.load() > 20);
    CHECK(spared - quiet < (disturbed - quiet) / 2);
    known.verify_all();
    known.check();
}

TEST_CASE("one-pass: a page brought in for a reader keeps its slot and leaves without a write") {
    world_options o = slow_world();
    o.pages = 1024;
    o.room = 2048;
    o.vcpus = 2;
    shard_world w(o);
    write_and_force_out(w, {{0}, 1024});
    const std::uint64_t written = counts(w).swapped_out.load();
    w.os.vcpus[0].thread = reader;
    read(w, {{0}, 1024});
    REQUIRE(is(w, {900}, page_flag::passing));
    REQUIRE(is(w, {900}, page_flag::write_protected));
    force_out(w, {{0}, 1024});
    CHECK(counts(w).swapped_out.load() == written);
    CHECK_FALSE(is(w, {900}, page_flag::passing));
    w.verify_all();
    w.check();
}

TEST_CASE("one-pass: the guest's own fault makes a page its own again") {
    world_options o = slow_world();
    o.pages = 1024;
    o.room = 2048;
    shard_world w(o);
    write_and_force_out(w, {{0}, 1024});
    w.os.vcpus[0].thread = reader;
    read(w, {{0}, 1024});
    REQUIRE(is(w, {900}, page_flag::passing));
    force_out(w, {{0}, 1024});
    w.os.vcpus[0].thread = 1;
    w.touch({900}, false);
    CHECK_FALSE(is(w, {900}, page_flag::passing));
    CHECK_FALSE(is(w, {901}, page_flag::passing));
}

namespace {

/// A world whose pages have all been read once by one thread, every `stride`th of them, and of
/// which `dirty` was written to afterwards. Counts what the kernel was asked for since.
struct read_world {
    read_world(world_options o, page_count stride, page_run dirty = {}) : w(options_of(o)) {
        write_and_force_out(w, {{0}, w.options.pages});
        w.os.vcpus[0].thread = reader;
        for (std::uint32_t page = 0; page < w.options.pages; page += stride)
            w.touch({page}, false);
        w.os.vcpus[0].thread = 1;
        write(w, dirty);
        before = counts(w).evicted_pages.load();
        w.os.inject = [this](fake_kernel::op op, page_index) {
            discards += op == fake_kernel::op::discard ? 1 : 0;
            moves += op == fake_kernel::op::take_out ? 1 : 0;
            const bool refused = op == fake_kernel::op::discard && refused_in-- == 0;
            return refused ? fake_kernel::injected{0, kernel_status::busy}
                           : fake_kernel::injected{};
        };
    }
    /// Memory becomes short by about so many pages.
    void squeeze(page_count pages) {
        w.set_room(static_cast<page_count>(counts(w).resident_pages.load()) - pages);
        w.steps(400);
    }
    [[nodiscard]] std::uint64_t evicted() const { return counts(w).evicted_pages.load() - before; }

    shard_world w;
    std::uint64_t before = 0;
    unsigned discards = 0;
    unsigned moves = 0;
    int refused_in = -1;

  private:
    static world_options options_of(world_options o) {
        o.pages = 1024;
        o.room = 2048;
        o.prefetch = "adaptive";
        return o;
    }
};

world_options without_events(world_options o) {
    o.traits.remove_events = false;
    return o;
}

} // namespace

TEST_CASE("one-pass: clean pages that were passed are discarded, and never staged") {
    read_world r(without_events(slow_world()), 1);
    const std::uint64_t dropped = counts(r.w).dropped_clean.load();
    const std::uint64_t written = counts(r.w).swapped_out.load();
    r.squeeze(300);
    CHECK(r.evicted() >= 300);
    CHECK(r.moves == 0);
    CHECK(r.discards >= 300 / 128);
    CHECK(counts(r.w).dropped_clean.load() - dropped == r.evicted());
    CHECK(counts(r.w).swapped_out.load() == written);
    CHECK(counts(r.w).staged_pages.load() == 0);
    r.w.check();
    r.w.verify_all();
}

TEST_CASE("one-pass: of what was passed, pages that were written to are staged as ever") {
    read_world r(without_events(slow_world()), 1, {{100}, 40});
    const std::uint64_t written = counts(r.w).swapped_out.load();
    r.squeeze(300);
    CHECK(r.moves > 0);
    CHECK(r.discards > 0);
    CHECK(counts(r.w).swapped_out.load() > written);
    force_out(r.w, {{0}, r.w.options.pages});
    CHECK(counts(r.w).swapped_out.load() >= written + 40);
    r.w.check();
    r.w.verify_all();
}

TEST_CASE("one-pass: madvise_self_deadlock: where events are on, clean pages are moved out") {
    read_world r(slow_world(), 1);
    r.squeeze(300);
    CHECK(r.evicted() >= 300);
    CHECK(r.moves > 0);
    CHECK(r.discards == 0);
    r.w.check();
    r.w.verify_all();
}

TEST_CASE("one-pass: a discard that the kernel refuses in the middle loses nothing") {
    for (const int refused : {0, 1, 5, 40}) {
        CAPTURE(refused);
        read_world r(without_events(slow_world()), 2);
        r.refused_in = refused;
        r.squeeze(300);
        CHECK(r.evicted() >= 300);
        CHECK(counts(r.w).busy_pages.load() > 0);
        r.w.check();
        r.w.verify_all();
    }
}

TEST_CASE("one-pass: strided windows are for the reader alone where pages can be discarded") {
    const read_world with(without_events(slow_world()), 3);
    const read_world events(slow_world(), 3);
    page_count passing = 0;
    page_count passing_with_events = 0;
    for (std::uint32_t page = 600; page < 900; page += 3) {
        passing += is(with.w, {page}, page_flag::passing) ? 1 : 0;
        passing_with_events += is(events.w, {page}, page_flag::passing) ? 1 : 0;
    }
    CHECK(passing == 100);
    CHECK(passing_with_events < 20); // the faults alone
}
