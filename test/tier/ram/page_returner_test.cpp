// SPDX-License-Identifier: BSD-3-Clause
#include "tier/ram/page_returner.hpp"

#include <array>
#include <cstring>

#include <sys/mman.h>

#include "support/catch.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/types.hpp"

namespace {

using namespace uffdmm;

bool resident(const std::byte* page) {
    unsigned char present = 0;
    REQUIRE(::mincore(const_cast<std::byte*>(page), page_size, &present) == 0);
    return (present & 1) != 0;
}

TEST_CASE("page_returner: several ranges go back in one call, and nothing between them") {
    const mapping memory = mapping::anonymous(5 * page_size);
    std::memset(memory.data(), 1, memory.size());
    page_returner returner;
    const std::array<iovec, 2> ranges{iovec{memory.data(), 2 * page_size},
                                      iovec{memory.data() + 3 * page_size, page_size}};
    REQUIRE(returner.discard(ranges));
    for (std::size_t i = 0; i < 5; ++i)
        REQUIRE(resident(memory.data() + i * page_size) == (i == 2 || i == 4));
}

TEST_CASE("page_returner: memory that was locked meanwhile goes back too") {
    const mapping memory = mapping::anonymous(2 * page_size);
    std::memset(memory.data(), 1, memory.size());
    if (::mlock(memory.data(), memory.size()) != 0) {
        WARN("skipped: this process may not lock memory");
        return;
    }
    page_returner returner;
    const std::array<iovec, 2> ranges{iovec{memory.data(), page_size},
                                      iovec{memory.data() + page_size, page_size}};
    REQUIRE(returner.discard(ranges));
    REQUIRE_FALSE(resident(memory.data()));
    REQUIRE_FALSE(resident(memory.data() + page_size));
}

} // namespace
