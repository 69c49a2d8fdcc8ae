// SPDX-License-Identifier: BSD-3-Clause
#include "run/large_blocks.hpp"

#include <array>
#include <atomic>
#include <cstdint>

#include "run/inside.hpp"
#include "run/managed_space.hpp"
#include "run/next_functions.hpp"
#include "run/recognition.hpp"
#include "run/report.hpp"
#include "run/tell.hpp"

namespace preload::large_blocks {
namespace {

constexpr std::size_t most_blocks = 4096;

/// `bytes` is written by the thread that has the block.
struct entry {
    std::atomic<std::uintptr_t> address{0};
    std::atomic<std::size_t> bytes{0};
};
constinit std::array<entry, most_blocks> entries{};
/// Entries from here on were never used.
constinit std::atomic<std::size_t> used_entries{0};

constexpr std::uintptr_t claimed = 1;

entry* claim() noexcept {
    for (std::size_t i = 0; i < most_blocks; ++i) {
        std::uintptr_t none = 0;
        if (!entries[i].address.compare_exchange_strong(none, claimed))
            continue;
        std::size_t used = used_entries.load();
        while (used < i + 1 && !used_entries.compare_exchange_weak(used, i + 1)) {
        }
        return &entries[i];
    }
    return nullptr;
}

entry* find(const void* block) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(block);
    if (address % page != 0)
        return nullptr;
    const std::size_t used = used_entries.load();
    for (std::size_t i = 0; i < used; ++i)
        if (entries[i].address.load() == address)
            return &entries[i];
    return nullptr;
}

} // namespace

bool wanted(std::size_t bytes) noexcept {
    managed_space* const s = space();
    if (s == nullptr || bytes < s->smallest() || s->forgotten() || !next().maps_unseen)
        return false;
    const judgement verdict = judge(s->asked(), memory_kind::block, "", bytes);
    const candidate memory{memory_kind::block, "", bytes, nullptr};
    if (verdict.what == action::leave)
        report_left(*s, memory, verdict.why);
    if (verdict.what == action::take && s->asked().list)
        report_taken(*s, memory, verdict.why);
    return verdict.what == action::take && !s->asked().list;
}

void* make(std::size_t bytes, std::size_t alignment) noexcept {
    if (bytes > PTRDIFF_MAX)
        return nullptr;
    managed_space& s = *space();
    entry* const mine = claim();
    void* const block = mine == nullptr ? nullptr : s.take(bytes, alignment);
    if (block == nullptr) {
        if (mine != nullptr)
            mine->address.store(0);
        if (s.counts().add(count::unmanaged) == 0)
            tell("a block of %zu bytes is not managed: there is no room", bytes);
        return nullptr;
    }
    mine->bytes.store(whole_pages(bytes));
    mine->address.store(reinterpret_cast<std::uintptr_t>(block));
    report_taken(s, {memory_kind::block, "", bytes, block},
                 judge(s.asked(), memory_kind::block, "", bytes).why);
    return block;
}

std::size_t size_of(const void* block) noexcept {
    const entry* const mine = find(block);
    return mine == nullptr ? 0 : mine->bytes.load();
}

bool end(void* block) noexcept {
    entry* const mine = find(block);
    if (mine == nullptr)
        return false;
    const std::size_t bytes = mine->bytes.load();
    mine->address.store(0);
    if (managed_space& s = *space(); !s.forgotten())
        s.give_back(block, bytes);
    return true;
}

} // namespace preload::large_blocks
