// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/engine/page_table.hpp"

#include <algorithm>
#include <deque>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/seed.hpp"

namespace {

using namespace uffdmm;

TEST_CASE("page_table: all pages start untouched, and 16 bytes each") {
    page_table table(5000);
    REQUIRE(table.size() == 5000);
    REQUIRE(table.memory_bytes() >= 5000 * 16);
    REQUIRE(table.memory_bytes() < 5000 * 16 + page_size);
    for (std::uint32_t i = 0; i < 5000; ++i)
        REQUIRE(table[{i}].state() == page_state::untouched);
}

TEST_CASE("page_table: entries do not overlap") {
    page_table table(1000);
    for (std::uint32_t i = 0; i < 1000; ++i) {
        table[{i}].set_slot(static_cast<tier_number>(i % 8), {i});
        table[{i}].set_prev({i + 1});
        table[{i}].set_next({i + 2});
    }
    for (std::uint32_t i = 0; i < 1000; ++i) {
        REQUIRE(table[{i}].tier() == i % 8);
        REQUIRE(table[{i}].slot().value == i);
        REQUIRE(table[{i}].prev().value == i + 1);
        REQUIRE(table[{i}].next().value == i + 2);
    }
}

TEST_CASE("page_table: all pages are arriving, whichever is looked at first, and only once") {
    page_table table(1000); // the last window is a part of one
    table.all_arrive();
    std::vector<std::uint32_t> order(1000);
    std::iota(order.begin(), order.end(), 0u);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(test::seed()));
    for (const std::uint32_t i : order) {
        REQUIRE(std::as_const(table)[{i}].has(page_flag::arriving));
        REQUIRE(table[{i}].frame() == no_frame);
        REQUIRE(table[{i}].state() == page_state::untouched);
        table[{i}].clear(page_flag::arriving);
        table[{i}].set_frame({i});
    }
    for (std::uint32_t i = 0; i < 1000; ++i) {
        REQUIRE_FALSE(table[{i}].has(page_flag::arriving));
        REQUIRE(table[{i}].frame() == frame_index{i});
    }
}

void check_same(const page_table& table, const page_list& list,
                const std::deque<page_index>& model) {
    REQUIRE(list.size() == model.size());
    REQUIRE(list.empty() == model.empty());
    REQUIRE(list.front() == (model.empty() ? no_page : model.front()));
    REQUIRE(list.back() == (model.empty() ? no_page : model.back()));
    page_index forward = list.front();
    page_index backward = list.back();
    for (std::size_t i = 0; i < model.size(); ++i) {
        REQUIRE(forward == model[i]);
        REQUIRE(backward == model[model.size() - 1 - i]);
        forward = table[forward].next();
        backward = table[backward].prev();
    }
    REQUIRE(forward == no_page);
    REQUIRE(backward == no_page);
}

TEST_CASE("page_list: two lists over one table behave like two deques") {
    UFFDMM_INFO_SEED();
    constexpr page_count pages = 64;
    std::mt19937_64 random(test::seed());
    page_table table(pages);
    std::vector<int> owner(pages, -1);
    page_list lists[2];
    std::deque<page_index> models[2];
    for (int i = 0; i < 20'000; ++i) {
        const page_index page{static_cast<std::uint32_t>(random() % pages)};
        const unsigned which = random() % 2;
        int& at = owner[page.value];
        if (at == -1) {
            lists[which].push_front(table, page);
            models[which].push_front(page);
            at = static_cast<int>(which);
        } else if (random() % 2 == 0) {
            const auto held = static_cast<unsigned>(at);
            lists[held].erase(table, page);
            std::erase(models[held], page);
            at = -1;
        } else {
            const page_index popped = lists[which].pop_back(table);
            REQUIRE(popped == (models[which].empty() ? no_page : models[which].back()));
            if (popped != no_page) {
                models[which].pop_back();
                owner[popped.value] = -1;
            }
        }
        if (i % 16 == 0)
            for (unsigned l = 0; l < 2; ++l)
                check_same(table, lists[l], models[l]);
    }
}

} // namespace
