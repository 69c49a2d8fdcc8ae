// SPDX-License-Identifier: BSD-3-Clause
#include "placement/gathering.hpp"

#include <map>
#include <set>
#include <vector>

#include "support/catch.hpp"

using namespace uffdmm;

namespace {

using cpus = std::set<unsigned>;

/// A machine with threads, all of this process.
class fake_affinity final : public cpu_affinity {
  public:
    std::map<std::uint32_t, cpus> threads;
    std::set<std::uint32_t> cannot_be_bound;
    std::uint32_t caller = 0;
    unsigned callers_cpu = 0;
    unsigned sets = 0;

    std::optional<cpu_set_t> get(std::uint32_t thread) noexcept override {
        const auto found = threads.find(thread);
        if (found == threads.end())
            return std::nullopt;
        cpu_set_t mask;
        CPU_ZERO(&mask);
        for (const unsigned cpu : found->second)
            CPU_SET(cpu, &mask);
        return mask;
    }
    bool set(std::uint32_t thread, const cpu_set_t& mask) noexcept override {
        if (threads.count(thread) == 0 || cannot_be_bound.count(thread) != 0)
            return false;
        ++sets;
        cpus now;
        for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
            if (CPU_ISSET(cpu, &mask))
                now.insert(cpu);
        threads[thread] = now;
        return true;
    }
    std::uint32_t this_thread() noexcept override { return caller; }
    unsigned this_cpu() noexcept override { return callers_cpu; }
};

constexpr std::uint32_t worker = 10;
constexpr std::uint32_t shard = 20;
constexpr std::uint32_t other_shard = 21;
constexpr std::uint32_t guest = 100;
const cpus all{0, 1, 2, 3};

struct machine {
    fake_affinity affinity;
    std::vector<std::uint32_t> workers{worker};
    gathering_place place{affinity, workers};

    machine() {
        for (const std::uint32_t thread : {worker, shard, other_shard, guest, guest + 1})
            affinity.threads[thread] = all;
        affinity.callers_cpu = 2;
    }
    [[nodiscard]] const cpus& of(std::uint32_t thread) { return affinity.threads[thread]; }
};

/// A shard whose guest gets more pages in the more of its threads share a CPU.
class fake_shard {
  public:
    fake_shard(machine& m, std::uint32_t thread) : m_(m), thread_(thread), it_(m.place) {}

    /// Half a millisecond in which these threads fault.
    bool round(const std::vector<std::uint32_t>& guests) {
        now_ += 500'000;
        for (const std::uint32_t g : guests)
            for (unsigned i = 0; i < faulting_threads::enough_faults; ++i)
                seen_.saw(g, now_);
        if (!guests.empty())
            pages_ += held_ ? 30 : 10;
        m_.affinity.caller = thread_;
        held_ = it_.step(now_, pages_, seen_);
        return held_;
    }
    void rounds(unsigned n, const std::vector<std::uint32_t>& guests) {
        for (unsigned i = 0; i < n; ++i)
            (void)round(guests);
    }
    [[nodiscard]] bool held() const { return held_; }
    gathering& it() { return it_; }

  private:
    machine& m_;
    std::uint32_t thread_;
    faulting_threads seen_;
    std::uint64_t now_ = 1'000'000'000;
    std::uint64_t pages_ = 0;
    bool held_ = false;
    gathering it_;
};

constexpr unsigned a_second = 2000;

} // namespace

TEST_CASE("gathering: the guest's thread, the shard's and the workers share the shard's CPU") {
    machine m;
    fake_shard s(m, shard);
    s.rounds(a_second, {guest});
    REQUIRE(s.held());
    const cpus two{2};
    CHECK(m.of(guest) == two);
    CHECK(m.of(shard) == two);
    CHECK(m.of(worker) == two);
    CHECK(m.of(guest + 1) == all); // it has no faults
    SECTION("a thread that begins to fault joins them") {
        s.rounds(2, {guest, guest + 1});
        CHECK(m.of(guest + 1) == two);
        SECTION("and one whose faults end goes") {
            s.rounds(60, {guest + 1});
            CHECK(m.of(guest + 1) == two);
            CHECK(m.of(guest) == all);
        }
    }
    SECTION("all go when the faults end") {
        s.rounds(60, {});
        CHECK_FALSE(s.held());
        CHECK(m.of(guest) == all);
        CHECK(m.of(shard) == all);
        CHECK(m.of(worker) == all);
        const unsigned sets = m.affinity.sets;
        s.rounds(10 * a_second, {});
        CHECK(m.affinity.sets == sets);
    }
    SECTION("all go when the shard ends") {
        s.it().let_all_go();
        CHECK(m.of(guest) == all);
        CHECK(m.of(worker) == all);
        CHECK(m.place.holder == nullptr);
    }
    SECTION("nothing is done for a thread that has ended, also if the kernel still names it") {
        m.affinity.threads.erase(guest);
        s.rounds(4, {guest + 1});
        CHECK(s.held());
        CHECK(m.of(guest + 1) == two);
        s.rounds(60, {});
        CHECK(m.affinity.threads.count(guest) == 0);
        CHECK(m.of(shard) == all);
    }
}

TEST_CASE("gathering: threads that come and go do not end it for long") {
    machine m;
    fake_shard s(m, shard);
    s.rounds(a_second, {guest});
    REQUIRE(s.held());
    for (std::uint32_t next = 0; next < 10; ++next) {
        m.affinity.threads.erase(guest + next);
        m.affinity.threads[guest + next + 1] = all;
        s.rounds(50, {}); // all have gone by then
        s.rounds(a_second / 10, {guest + next + 1});
        CHECK(s.held());
        CHECK(m.of(guest + next + 1) == cpus{2});
    }
}

TEST_CASE("gathering: operator_pins: no thread gets a CPU that it was not allowed") {
    machine m;
    SECTION("the CPU that all may use is taken") {
        m.affinity.threads[guest] = {1, 3};
        m.affinity.threads[worker] = {0, 3};
        fake_shard s(m, shard);
        s.rounds(a_second, {guest});
        REQUIRE(s.held());
        CHECK(m.of(guest) == cpus{3});
        s.rounds(60, {});
        CHECK(m.of(guest) == cpus{1, 3});
        CHECK(m.of(worker) == cpus{0, 3});
    }
    SECTION("where there is none, nobody is touched") {
        m.affinity.threads[guest] = {0};
        m.affinity.threads[guest + 1] = {1};
        fake_shard s(m, shard);
        s.rounds(10 * a_second, {guest, guest + 1});
        CHECK_FALSE(s.held());
        CHECK(m.affinity.sets == 0);
    }
    SECTION("a thread that is bound elsewhere meanwhile stays there") {
        fake_shard s(m, shard);
        s.rounds(a_second, {guest});
        REQUIRE(s.held());
        m.affinity.threads[guest] = {1};
        s.rounds(60, {});
        CHECK(m.of(guest) == cpus{1});
        CHECK(m.of(shard) == all);
    }
    SECTION("a newcomer that is bound elsewhere ends it") {
        m.affinity.threads[guest + 1] = {0};
        fake_shard s(m, shard);
        s.rounds(a_second, {guest});
        REQUIRE(s.held());
        s.rounds(2, {guest, guest + 1});
        CHECK_FALSE(s.held());
        CHECK(m.of(guest) == all);
        CHECK(m.of(guest + 1) == cpus{0});
        CHECK(m.of(worker) == all);
    }
}

TEST_CASE("gathering: if one thread cannot be bound none is") {
    machine m;
    m.affinity.cannot_be_bound = {guest + 1};
    fake_shard s(m, shard);
    s.rounds(10 * a_second, {guest, guest + 1});
    CHECK_FALSE(s.held());
    for (const std::uint32_t thread : {worker, shard, guest, guest + 1})
        CHECK(m.of(thread) == all);
}

TEST_CASE("gathering: threads of other processes are left alone") {
    machine m;
    fake_shard s(m, shard);
    s.rounds(a_second, {guest, 999}); // of which get() knows nothing
    CHECK(s.held());
    CHECK(m.of(guest) == cpus{2});
    CHECK(m.affinity.threads.count(999) == 0);
    fake_shard reader_only(m, other_shard);
    s.rounds(60, {});
    reader_only.rounds(10 * a_second, {999});
    CHECK_FALSE(reader_only.held());
    CHECK(m.of(worker) == all);
}

TEST_CASE("gathering: not with more threads than can be told apart") {
    machine m;
    std::vector<std::uint32_t> many;
    for (std::uint32_t i = 0; i <= faulting_threads::most; ++i) {
        many.push_back(guest + i);
        m.affinity.threads[guest + i] = all;
    }
    fake_shard s(m, shard);
    s.rounds(a_second, many);
    CHECK(m.affinity.sets == 0);
    many.pop_back();
    s.rounds(10 * a_second, many);
    CHECK(s.held());
}

TEST_CASE("gathering: the workers go with one shard at a time, and with none while two are busy") {
    machine m;
    fake_shard one(m, shard);
    fake_shard two(m, other_shard);
    one.rounds(a_second, {guest});
    REQUIRE(one.held());
    for (unsigned i = 0; i < a_second; ++i) {
        (void)one.round({guest});
        (void)two.round({guest + 1});
        REQUIRE_FALSE(two.held());
    }
    CHECK_FALSE(one.held());
    CHECK(m.of(worker) == all);
    one.rounds(60, {});
    two.rounds(10 * a_second, {guest + 1});
    CHECK(two.held());
    CHECK(m.of(worker) == cpus{2});
    CHECK(m.of(guest) == all);
}
