// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/engine/page_entry.hpp"

#include <array>
#include <random>

#include "support/catch.hpp"
#include "support/seed.hpp"

namespace {

using namespace uffdmm;

/// One row per state, one column per operation, in the order of the enums: the state after it, or
/// '-' where it is forbidden. Written from the drawing, not from the code.
///                  zitsdfxpla install_zero install take_back stage drop found_zero discard poison
///                             fill adopt
constexpr std::array<const char*, page_states> expected{
    /* untouched */ "R-----U-RW",
    /* resident  */ "---TW-U---",
    /* staged    */ "--R-WUU---",
    /* swapped   */ "-R----UP--",
    /* poisoned  */ "------U---",
};
constexpr const char* letters = "URTWP"; // untouched resident sTaged sWapped poisoned

/// An entry brought into `state` by allowed operations alone.
page_entry entry_in(page_state state) {
    page_entry entry;
    if (state == page_state::untouched)
        return entry;
    entry.apply(page_op::install_zero);
    if (state == page_state::resident)
        return entry;
    entry.apply(page_op::stage);
    if (state == page_state::staged)
        return entry;
    entry.apply(page_op::drop);
    if (state == page_state::poisoned)
        entry.apply(page_op::poison);
    return entry;
}

TEST_CASE("page_entry: every pair of state and operation does what the table says") {
    for (unsigned from = 0; from < page_states; ++from) {
        for (unsigned op = 0; op < page_ops; ++op) {
            INFO("state " << from << " operation " << op);
            const char wanted = expected[from][op];
            const auto got = transition(static_cast<page_state>(from), static_cast<page_op>(op));
            REQUIRE(got.allowed == (wanted != '-'));
            if (wanted == '-')
                continue;
            REQUIRE(letters[static_cast<unsigned>(got.next)] == wanted);
            page_entry entry = entry_in(static_cast<page_state>(from));
            REQUIRE(entry.state() == static_cast<page_state>(from));
            entry.apply(static_cast<page_op>(op));
            REQUIRE(letters[static_cast<unsigned>(entry.state())] == wanted);
        }
    }
}

TEST_CASE("page_entry: a zeroed entry is untouched and has nothing") {
    const page_entry entry;
    REQUIRE(entry.state() == page_state::untouched);
    for (unsigned flag = 3; flag <= 11; ++flag)
        REQUIRE_FALSE(entry.has(static_cast<page_flag>(1u << flag)));
    REQUIRE(entry.policy_bits() == 0);
}

/// What an entry should say: every field by itself.
struct entry_model {
    page_state state = page_state::untouched;
    std::array<bool, 9> flags{};
    unsigned policy = 0;
    tier_number tier = 0;
    std::uint64_t slot = 0;
    std::uint32_t a = 0;
    std::uint32_t b = 0;

    static page_flag flag(unsigned i) { return static_cast<page_flag>(1u << (3 + i)); }

    void check(const page_entry& entry) const {
        REQUIRE(entry.state() == state);
        for (unsigned i = 0; i < flags.size(); ++i)
            REQUIRE(entry.has(flag(i)) == flags[i]);
        REQUIRE(entry.policy_bits() == policy);
        if (flags[0]) { // has_slot
            REQUIRE(entry.tier() == tier);
            REQUIRE(entry.slot().value == slot);
        }
        REQUIRE(entry.prev().value == a);
        REQUIRE(entry.frame().value == a);
        REQUIRE(entry.next().value == b);
        REQUIRE(entry.evicted_at() == b);
    }
};

TEST_CASE("page_entry: no field disturbs another") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(test::seed());
    page_entry entry;
    entry_model model;
    for (int i = 0; i < 50'000; ++i) {
        const auto value = static_cast<std::uint32_t>(random());
        switch (random() % 9) {
        case 0: {
            const auto op = static_cast<page_op>(random() % page_ops);
            const auto next = transition(model.state, op);
            if (next.allowed) {
                entry.apply(op);
                model.state = next.next;
            }
            break;
        }
        case 1: {
            const unsigned flag = 1 + static_cast<unsigned>(random() % 8); // not has_slot
            entry.set(entry_model::flag(flag));
            model.flags[flag] = true;
            break;
        }
        case 2: {
            const unsigned flag = 1 + static_cast<unsigned>(random() % 8);
            entry.clear(entry_model::flag(flag));
            model.flags[flag] = false;
            break;
        }
        case 3:
            entry.set_policy_bits(value & 0xf);
            model.policy = value & 0xf;
            break;
        case 4:
            model.tier = static_cast<tier_number>(value % 8);
            model.slot = random() & no_slot.value;
            model.flags[0] = true;
            entry.set_slot(model.tier, {model.slot});
            break;
        case 5:
            entry.clear_slot();
            model.flags[0] = false;
            break;
        case 6:
            entry.set_prev({value});
            model.a = value;
            break;
        case 7:
            entry.set_evicted_at(value);
            model.b = value;
            model.flags[8] = true;
            break;
        default: {
            const std::uint64_t pattern = random();
            entry.set_fill_pattern(pattern);
            REQUIRE(entry.fill_pattern() == pattern);
            model.flags[0] = true;
            model.tier = same_filled_tier;
            model.slot = pattern >> 32;
            model.a = static_cast<std::uint32_t>(pattern);
        }
        }
        model.check(entry);
    }
}

TEST_CASE("page_entry: the refault distance survives the wrap of the eviction clock") {
    page_entry entry;
    entry.set_evicted_at(0xffff'fff0u);
    REQUIRE(entry.has(page_flag::evicted_before));
    const std::uint32_t now = 0x10;
    REQUIRE(now - entry.evicted_at() == 0x20);
}

} // namespace
