// SPDX-License-Identifier: BSD-3-Clause
#include "policy_sim/reference.hpp"

#include <algorithm>
#include <queue>
#include <utility>
#include <vector>

#include "uffdmm/engine/page_table.hpp"

namespace policy_sim {
namespace {

/// For each touch the position of the next one of the same page; past the end if there is none.
std::vector<std::uint32_t> next_uses(std::span<const std::uint32_t> touches,
                                     uffdmm::page_count pages) {
    const auto never = static_cast<std::uint32_t>(touches.size());
    std::vector<std::uint32_t> next(touches.size());
    std::vector<std::uint32_t> seen(pages, never);
    for (std::size_t i = touches.size(); i-- != 0;)
        next[i] = std::exchange(seen[touches[i]], static_cast<std::uint32_t>(i));
    return next;
}

} // namespace

std::uint64_t lru_misses(std::span<const std::uint32_t> touches, std::size_t counted_from,
                         uffdmm::page_count pages, uffdmm::page_count capacity) {
    uffdmm::page_table table(pages);
    uffdmm::page_list recent;
    std::vector<bool> resident(pages);
    std::uint64_t misses = 0;
    for (std::size_t i = 0; i < touches.size(); ++i) {
        const uffdmm::page_index page{touches[i]};
        if (resident[page.value]) {
            recent.erase(table, page);
        } else {
            misses += i >= counted_from ? 1 : 0;
            if (recent.size() == capacity)
                resident[recent.pop_back(table).value] = false;
            resident[page.value] = true;
        }
        recent.push_front(table, page);
    }
    return misses;
}

std::uint64_t optimal_misses(std::span<const std::uint32_t> touches, std::size_t counted_from,
                             uffdmm::page_count pages, uffdmm::page_count capacity) {
    const std::vector<std::uint32_t> next = next_uses(touches, pages);
    using use = std::pair<std::uint32_t, std::uint32_t>; // when, page
    std::priority_queue<use> furthest;                   // entries that are not current are stale
    constexpr std::uint32_t out = UINT32_MAX;
    std::vector<std::uint32_t> needed(pages, out); // when; out: not resident
    uffdmm::page_count resident = 0;
    std::uint64_t misses = 0;
    for (std::size_t i = 0; i < touches.size(); ++i) {
        const std::uint32_t page = touches[i];
        if (needed[page] == out) {
            misses += i >= counted_from ? 1 : 0;
            for (; resident == capacity; furthest.pop()) {
                const auto [when, victim] = furthest.top();
                if (needed[victim] != when)
                    continue;
                needed[victim] = out;
                --resident;
            }
            ++resident;
        }
        needed[page] = next[i];
        furthest.emplace(next[i], page);
    }
    return misses;
}

} // namespace policy_sim
