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

} // namespace

TEST_CASE("faulting threads: those of the time that is asked for") {
    faulting_threads seen;
    CHECK(seen.since(1).count == 0);
    CHECK(seen.since(1).complete);
    seen.saw(7, 100);
    seen.saw(9, 200);
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
        seen.saw(i + 1, 100 + i);
    CHECK(seen.since(100).complete);
    seen.saw(50, 200); // in the place of thread 1, seen at 100
    CHECK(seen.since(100).count == faulting_threads::most);
    CHECK_FALSE(seen.since(100).complete);
    CHECK(seen.since(101).complete);
    seen.saw(1, 300); // and thread 1 in that of thread 2
    CHECK_FALSE(seen.since(101).complete);
    CHECK(sorted(seen.since(200)) == numbers{1, 50});
}

TEST_CASE("faulting threads: a thread that the kernel does not name is one too many") {
    faulting_threads seen;
    seen.saw(3, 100);
    seen.saw(0, 150);
    CHECK_FALSE(seen.since(150).complete);
    CHECK(seen.since(151).complete);
    CHECK(sorted(seen.since(100)) == numbers{3});
}
