// SPDX-License-Identifier: BSD-3-Clause
#include <cstdint>
#include <cstring>
#include <vector>

#include "run/page_bitmap.hpp"
#include "run/private_heap.hpp"
#include "support/catch.hpp"

using preload::page_bitmap;
namespace private_heap = preload::private_heap;

TEST_CASE("page_bitmap: free pages are found behind used ones, at the alignment asked for") {
    page_bitmap map;
    REQUIRE(map.create(300));
    CHECK(map.find_free(300, 1, 0) == 0);
    map.set(0, 70, true);
    CHECK(map.find_free(10, 1, 0) == 70);
    CHECK(map.find_free(10, 64, 0) == 128);
    CHECK(map.find_free(10, 64, 3) == 125); // the first page is 3 behind a multiple
    map.set(100, 1, true);
    CHECK(map.find_free(31, 1, 0) == 101);
    CHECK(map.find_free(200, 1, 0) == page_bitmap::none);
    map.destroy();
}

TEST_CASE("page_bitmap: pages given back are free again") {
    page_bitmap map;
    REQUIRE(map.create(130));
    map.set(60, 70, true);
    CHECK_FALSE(map.is_free(0, 61));
    CHECK(map.is_free(0, 60));
    map.set(64, 2, false);
    CHECK(map.is_free(64, 2));
    CHECK(map.find_free(2, 64, 0) == 0);
    map.set(60, 70, false);
    CHECK(map.empty());
    CHECK_FALSE(map.is_free(129, 2)); // beyond the end
    map.destroy();
}

TEST_CASE("private_heap: blocks are aligned, apart, and known by their address") {
    std::vector<void*> blocks;
    for (std::size_t size : {1, 16, 100, 4096, 100'000, 3'000'000})
        for (std::size_t alignment : {16, 64, 4096}) {
            void* const block = private_heap::allocate(size, alignment);
            REQUIRE(block != nullptr);
            CHECK(reinterpret_cast<std::uintptr_t>(block) % alignment == 0);
            CHECK(private_heap::usable_bytes(block) >= size);
            CHECK(private_heap::owns(block));
            std::memset(block, static_cast<int>(blocks.size() + 1), size);
            blocks.push_back(block);
        }
    for (std::size_t i = 0; i < blocks.size(); ++i)
        CHECK(*static_cast<unsigned char*>(blocks[i]) == i + 1);
    for (void* block : blocks)
        private_heap::release(block);
}

TEST_CASE("private_heap: a block that was freed is used again") {
    void* const first = private_heap::allocate(5000);
    private_heap::release(first);
    CHECK(private_heap::allocate(5000) == first);
    private_heap::release(first);
}

TEST_CASE("private_heap: what is too large is refused, what is not its own is known") {
    const int mine = 0;
    CHECK_FALSE(private_heap::owns(&mine));
    CHECK(private_heap::allocate(std::size_t{1} << 40) == nullptr);
    CHECK(private_heap::allocate(SIZE_MAX) == nullptr);
}
