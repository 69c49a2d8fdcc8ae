// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/engine/faulting_threads.hpp"

#include <vector>

#include "support/catch.hpp"

using namespace uffdmm;

namespace {

std::vector<std::uint32_t> sorted(const faulting_threads::list& list) {
    std::vector<std::uint32_t> threads(list.all().begin(), list.all().end());
    std::sort(threads.begin(), threads.end());
    return threads;
}
using numbers = std::vector<std::uint32_t>;

/// Enough faults to be noticed, all at once.
void faults(faulting_threads& seen, std::uint32_t thread, std::uint64_t now_ns) {
    for (unsigned i = 0; i < faulting_threads::enough_faults; ++i)
        seen.saw(thread, now_ns);
}

} // namespace

TEST_CASE("faulting threads: those of the time that is asked for") {
    faulting_threads seen;
    CHECK(seen.since(1).count == 0);
    CHECK(seen.since(1).complete);
    faults(seen, 7, 100);
    faults(seen, 9, 200);
    seen.saw(7, 300);
    seen.saw(7, 310);
    CHECK(sorted(seen.since(100)) == numbers{7, 9});
    CHECK(sorted(seen.since(201)) == numbers{7});
    CHECK(sorted(seen.since(311)).empty());
    CHECK(seen.since(100).complete);
}

TEST_CASE("faulting threads: more than fit are told of, as long as they matter") {
    faulting_threads seen;
    for (std::uint32_t i = 0; i < faulting_threads::most; ++i)
        faults(seen, i + 1, 100 + i);
    CHECK(seen.since(100).complete);
    faults(seen, 50, 200); // in the place of thread 1, seen at 100
    CHECK(seen.since(100).count == faulting_threads::most);
    CHECK_FALSE(seen.since(100).complete);
    CHECK(seen.since(101).complete);
    faults(seen, 1, 300); // and thread 1 in that of thread 2
    CHECK_FALSE(seen.since(101).complete);
    CHECK(sorted(seen.since(200)) == numbers{1, 50});
}

TEST_CASE("faulting threads: a thread that the kernel does not name is one too many") {
    faulting_threads seen;
    faults(seen, 3, 100);
    seen.saw(0, 150);
    CHECK_FALSE(seen.since(150).complete);
    CHECK(seen.since(151).complete);
    CHECK(sorted(seen.since(100)) == numbers{3});
}

TEST_CASE("faulting threads: not one that faults now and then") {
    faulting_threads seen;
    std::uint64_t now = 1;
    for (unsigned i = 0; i < 10 * faulting_threads::enough_faults; ++i) {
        seen.saw(3, now);
        now += faulting_threads::soon_ns + 1;
    }
    CHECK(seen.since(1).count == 0);
    CHECK(seen.since(1).complete);
    for (unsigned i = 0; i < faulting_threads::enough_faults; ++i) {
        CHECK(seen.since(1).count == 0);
        seen.saw(3, now);
        now += faulting_threads::soon_ns;
    }
    CHECK(sorted(seen.since(1)) == numbers{3});
    SECTION("a short pause does not end it") {
        now += faulting_threads::pause_ns - faulting_threads::soon_ns;
        seen.saw(3, now);
        CHECK(sorted(seen.since(1)) == numbers{3});
    }
    SECTION("a longer one does") {
        now += faulting_threads::pause_ns - faulting_threads::soon_ns + 1;
        seen.saw(3, now);
        CHECK(seen.since(1).count == 0);
    }
}
