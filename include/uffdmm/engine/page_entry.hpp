// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The page entry: everything the library knows about one page, in 16 bytes. Owned by exactly one
/// shard thread; no field is atomic.
///
///                 install_zero                      stage
///     ┌───────────┐ ───────► ┌──────────┐ ─────────────────────► ┌────────┐
///     │ untouched │          │ resident │ ◄───────────────────── │ staged │
///     └───────────┘          └──────────┘       take_back        └────────┘
///        ▲  ▲  ▲                  ▲                                  │
///        │  │  │                  │ install                          │ drop (it has a slot)
///        │  │  └─ found_zero ─────│──────────── staged               │
///        │  │                ┌─────────┐ ◄───────────────────────────┘
///        │  └── discard ──── │ swapped │ ◄── drop ── resident (it has a slot)
///        │                   └─────────┘
///        │                        │ poison
///        └───── discard ──── ┌──────────┐
///      (from every state)    │ poisoned │
///                            └──────────┘
///
/// Pages that another host has sent: untouched ─ fill ─► resident, untouched ─ adopt ─► swapped.
/// While their contents are on the way, `arriving`, faults on them wait.
///
/// untouched  no contents anywhere: reads as zeros
/// resident   mapped in the guest, which may change it unless `write_protected`
/// staged     out of the guest, contents in frame(); refaults take it back without I/O
/// swapped    contents in slot() of tier(); `loading` while a read is under way
/// poisoned   contents lost; every access is a machine check
///
/// A resident or staged page may also have a slot (`has_slot`): then it is clean, its contents are
/// in that slot too, and leaving memory costs no write. A resident page with a slot is always
/// write-protected.

#include <cstdint>

#include "uffdmm/check.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

enum class page_state : std::uint8_t { untouched, resident, staged, swapped, poisoned };
inline constexpr unsigned page_states = 5;

enum class page_op : std::uint8_t {
    install_zero, ///< map zeros into the guest
    install,      ///< map contents loaded from a slot
    take_back,    ///< map a staged page again
    stage,        ///< take out of the guest into a frame
    drop,         ///< give up the memory; the slot is the only copy from now on
    found_zero,   ///< a staged page turned out to be all zeros
    discard,      ///< the guest declared the contents dead
    poison,       ///< the contents are lost
    fill,         ///< map contents that came from elsewhere
    adopt         ///< contents that came from elsewhere are in a slot
};
inline constexpr unsigned page_ops = 10;

/// Number of the tier inside the chain. 0 is the same-filled pseudo tier.
using tier_number = std::uint8_t;
inline constexpr tier_number same_filled_tier = 0;
inline constexpr tier_number max_tiers = 7;

/// The state after `op`, or no value where the pair is forbidden. This table is the state machine;
/// nothing else in the library changes a state.
struct transition_result {
    bool allowed = false;
    page_state next = page_state::untouched;
};

[[nodiscard]] constexpr transition_result transition(page_state from, page_op op) {
    using s = page_state;
    switch (op) {
    case page_op::install_zero:
        return {from == s::untouched, s::resident};
    case page_op::install:
        return {from == s::swapped, s::resident};
    case page_op::take_back:
        return {from == s::staged, s::resident};
    case page_op::stage:
        return {from == s::resident, s::staged};
    case page_op::drop:
        return {from == s::staged || from == s::resident, s::swapped};
    case page_op::found_zero:
        return {from == s::staged, s::untouched};
    case page_op::discard:
        return {true, s::untouched};
    case page_op::poison:
        return {from == s::swapped, s::poisoned};
    case page_op::fill:
        return {from == s::untouched, s::resident};
    case page_op::adopt:
        return {from == s::untouched, s::swapped};
    }
    return {};
}

enum class page_flag : std::uint64_t {
    has_slot = 1u << 3,        ///< tier() and slot() name a copy of the contents
    write_protected = 1u << 4, ///< mapped write-protected: the first write is a fault
    loading = 1u << 5,         ///< swapped, and a read is under way
    storing = 1u << 6,         ///< staged, and a write is under way
    pinned = 1u << 7,          ///< never evicted
    write_prone = 1u << 8,     ///< was written soon after its last install
    prefetched = 1u << 9,      ///< installed without a fault, not known to be used yet
    demoting = 1u << 10,       ///< swapped, and being copied to a lower tier
    evicted_before = 1u << 11, ///< evicted_at() is meaningful
    fresh = 1u << 19,          ///< resident, installed for a fault a moment ago: see fresh_pages
    waiting = 1u << 20,        ///< a fault on it is in the queue of waiting faults
    arriving = 1u << 22,       ///< untouched, and contents are on their way: faults wait
    passing = 1u << 21         ///< brought in for a one-pass reader: see one_pass_readers
};

class page_entry {
  public:
    /// Applies `op`; aborts on a forbidden pair.
    void apply(page_op op) {
        const auto [allowed, next] = transition(state(), op);
        UFFDMM_CHECK(allowed, "page state machine: forbidden operation");
        word_ = (word_ & ~state_mask) | static_cast<std::uint64_t>(next);
    }

    [[nodiscard]] page_state state() const { return static_cast<page_state>(word_ & state_mask); }
    [[nodiscard]] bool has(page_flag flag) const {
        return (word_ & static_cast<std::uint64_t>(flag)) != 0;
    }
    void set(page_flag flag) { word_ |= static_cast<std::uint64_t>(flag); }
    void clear(page_flag flag) { word_ &= ~static_cast<std::uint64_t>(flag); }

    /// Valid while has_slot or swapped.
    [[nodiscard]] tier_number tier() const {
        return static_cast<tier_number>((word_ >> tier_shift) & 7u);
    }
    [[nodiscard]] slot_id slot() const { return {word_ >> slot_shift}; }
    void set_slot(tier_number tier, slot_id slot) {
        UFFDMM_DCHECK(slot.value < (std::uint64_t{1} << slot_bits), "slot fits its field");
        word_ = (word_ & low_mask & ~tier_mask) | (std::uint64_t{tier} << tier_shift) |
                (slot.value << slot_shift) | static_cast<std::uint64_t>(page_flag::has_slot);
    }
    void clear_slot() {
        word_ &= low_mask & ~tier_mask & ~static_cast<std::uint64_t>(page_flag::has_slot);
    }

    /// Four bits that belong to the eviction policy, in every state.
    [[nodiscard]] unsigned policy_bits() const {
        return static_cast<unsigned>(word_ >> policy_shift) & 0xfu;
    }
    void set_policy_bits(unsigned bits) {
        word_ = (word_ & ~policy_mask) | (std::uint64_t{bits & 0xfu} << policy_shift);
    }

    /// List links while resident: neighbours in the policy's list.
    [[nodiscard]] page_index prev() const { return {a_}; }
    [[nodiscard]] page_index next() const { return {b_}; }
    void set_prev(page_index page) { a_ = page.value; }
    void set_next(page_index page) { b_ = page.value; }

    /// Frame while staged.
    [[nodiscard]] frame_index frame() const { return {a_}; }
    void set_frame(frame_index frame) { a_ = frame.value; }

    /// An untouched page whose contents are to come, with no frame for them yet.
    void expect_contents() {
        set(page_flag::arriving);
        set_frame(no_frame);
    }

    /// Eviction clock at the last eviction, while staged, swapped or untouched again: the page's
    /// ghost. Refault distance is the clock now minus this.
    [[nodiscard]] std::uint32_t evicted_at() const { return b_; }
    void set_evicted_at(std::uint32_t clock) {
        b_ = clock;
        set(page_flag::evicted_before);
    }

    /// The 64-bit pattern of a same-filled page, while swapped to same_filled_tier.
    [[nodiscard]] std::uint64_t fill_pattern() const { return (slot().value << 32) | a_; }
    void set_fill_pattern(std::uint64_t pattern) {
        set_slot(same_filled_tier, slot_id{pattern >> 32});
        a_ = static_cast<std::uint32_t>(pattern);
    }

  private:
    static constexpr std::uint64_t state_mask = 7;
    static constexpr unsigned policy_shift = 12;
    static constexpr std::uint64_t policy_mask = std::uint64_t{0xf} << policy_shift;
    static constexpr unsigned tier_shift = 16;
    static constexpr std::uint64_t tier_mask = std::uint64_t{7} << tier_shift;
    static constexpr unsigned slot_shift = 24;
    static constexpr std::uint64_t low_mask = (std::uint64_t{1} << slot_shift) - 1;

    /// 0-2 state · 3-11 and 19-22 flags · 12-15 policy · 16-18 tier · 24-63 slot
    std::uint64_t word_ = 0;
    std::uint32_t a_ = 0; ///< resident: prev · staged: frame · same-filled: low pattern half
    std::uint32_t b_ = 0; ///< resident: next · else: evicted_at
};

static_assert(sizeof(page_entry) == 16, "the promise of ARCHITECTURE.md");

} // namespace uffdmm
