// SPDX-License-Identifier: BSD-3-Clause
#include "tier/file/slot_allocator.hpp"

#include <algorithm>
#include <bit>
#include <span>
#include <utility>

#include "uffdmm/check.hpp"

namespace uffdmm {
namespace {

/// Extents with room that are searched before a new one is taken: enough to fill holes again, few
/// enough to bound the call.
constexpr unsigned extents_searched = 4;

/// First bit at or after `from` that is `value`, or `end`.
std::uint32_t next_bit(std::span<const std::uint64_t> words, std::uint32_t from, std::uint32_t end,
                       bool value) {
    const std::uint64_t flip = value ? 0 : ~std::uint64_t{0};
    std::uint64_t mask = ~std::uint64_t{0} << from % 64;
    for (std::uint32_t word = from / 64; word * 64 < end; ++word, mask = ~std::uint64_t{0})
        if (const std::uint64_t bits = (words[word] ^ flip) & mask; bits != 0)
            return std::min(word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits)), end);
    return end;
}

/// Bits [first, first + count) of word `word`; first and count in slots of the extent.
std::uint64_t mask_in_word(std::uint32_t word, std::uint32_t first, std::uint32_t count) {
    const std::uint32_t from = std::max(first, word * 64) - word * 64;
    const std::uint32_t to = std::min(first + count, word * 64 + 64) - word * 64;
    return (to - from == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << (to - from)) - 1) << from;
}

} // namespace

slot_allocator::slot_allocator(extent_pool& pool, bool keep_stale)
    : pool_(pool), owner_(pool.join()), keep_stale_(keep_stale) {
    heads_.fill(no_extent);
    tails_.fill(no_extent);
}

slot_allocator::~slot_allocator() {
    while (take_apart().count != 0) {
    }
    pool_.leave();
}

slot_run slot_allocator::allocate(std::uint32_t wanted, growth grow) noexcept {
    UFFDMM_CHECK(wanted >= 1 && wanted <= longest_run, "a run is 1 to 64 slots");
    candidate best;
    if (current_ != no_extent)
        search(current_, wanted, best);
    const std::uint32_t last = tails_[roomy];
    for (unsigned i = 0; i < extents_searched && best.run.count < wanted; ++i) {
        const std::uint32_t extent = heads_[roomy];
        if (extent == no_extent || (i != 0 && tails_[roomy] == last))
            break; // seen all
        if (extent != current_)
            search(extent, wanted, best);
        unlink(extent); // to the end, so that others are searched next time
        link(extent, roomy);
    }
    if (best.run.count < wanted && grow == growth::as_needed && add_extent())
        search(current_, wanted, best);
    if (best.run.count == 0 && heads_[scarce] != no_extent)
        search(heads_[scarce], wanted, best);
    if (best.run.count != 0)
        occupy(best.extent, best.run);
    return best.run;
}

void slot_allocator::search(std::uint32_t extent, std::uint32_t wanted, candidate& best) noexcept {
    if (pool_.record(extent).free_slots <= best.run.count)
        return;
    const slot_run run = find(extent, wanted);
    if (run.count > best.run.count)
        best = {extent, run};
}

/// The next run of `wanted` free slots after the extent's cursor, else its longest.
slot_run slot_allocator::find(std::uint32_t extent, std::uint32_t wanted) noexcept {
    const auto used = pool_.used(extent);
    const std::uint32_t size = pool_.slots_in(extent);
    const std::uint32_t cursor = pool_.record(extent).cursor;
    slot_run longest;
    for (const std::uint32_t start : {cursor, 0u}) {
        std::uint32_t at = start;
        while ((at = next_bit(used, at, size, false)) < size) {
            const std::uint32_t end = next_bit(used, at, std::min(size, at + wanted), true);
            if (end - at > longest.count)
                longest = {pool_.first_slot(extent) + at, end - at};
            if (longest.count == wanted)
                return longest;
            at = end;
        }
    }
    return longest;
}

/// The lowest free one, so that records stay populated for no more of the file than is in use.
bool slot_allocator::add_extent() noexcept {
    const std::uint32_t extent = pool_.take(0, owner_);
    if (extent == no_extent)
        return false;
    std::ranges::fill(pool_.stale(extent), 0);
    held_ += pool_.slots_in(extent);
    link(extent, roomy);
    current_ = extent;
    return true;
}

void slot_allocator::take_over(std::uint32_t extent) noexcept {
    std::ranges::fill(pool_.stale(extent), 0);
    held_ += pool_.slots_in(extent);
    used_ += pool_.slots_in(extent) - pool_.record(extent).free_slots;
    link(extent, list_for(extent));
}

void slot_allocator::occupy(std::uint32_t extent, slot_run run) noexcept {
    extent_record& record = pool_.record(extent);
    set_used(extent, run);
    record.free_slots -= run.count;
    record.cursor = run.first + run.count - pool_.first_slot(extent);
    used_ += run.count;
    relink(extent);
    if (record.list == roomy)
        current_ = extent;
}

void slot_allocator::set_used(std::uint32_t extent, slot_run run) noexcept {
    const std::uint32_t first = run.first - pool_.first_slot(extent);
    for (std::uint32_t word = first / 64; word * 64 < first + run.count; ++word) {
        const std::uint64_t mask = mask_in_word(word, first, run.count);
        if (is_trimmable(extent, word))
            --trimmable_;
        UFFDMM_DCHECK((pool_.used(extent)[word] & mask) == 0, "a slot is given out once");
        pool_.used(extent)[word] |= mask;
        pool_.stale(extent)[word] &= ~mask;
    }
}

void slot_allocator::free(std::uint32_t slot) noexcept {
    UFFDMM_CHECK(holds(slot), "a slot is freed once");
    const std::uint32_t extent = pool_.extent_of(slot);
    const std::uint32_t word = (slot - pool_.first_slot(extent)) / 64;
    const std::uint64_t bit = std::uint64_t{1} << slot % 64;
    pool_.used(extent)[word] &= ~bit;
    if (keep_stale_) {
        pool_.stale(extent)[word] |= bit;
        if (is_trimmable(extent, word)) {
            ++trimmable_;
            want_trim(extent);
        }
    }
    start_generation(slot);
    ++pool_.record(extent).free_slots;
    --used_;
    relink(extent);
    vacate(extent);
}

/// Names given out so far do not fit any more.
void slot_allocator::start_generation(std::uint32_t slot) noexcept {
    const std::uint32_t now = slot_naming::generation_in(pool_.slot_record(slot));
    pool_.set_slot_record(slot, (now + 1) % slot_naming::generations);
}

/// Gives the extent back to the pool if nothing is in it: no page, and no blocks to trim.
void slot_allocator::vacate(std::uint32_t extent) noexcept {
    if (!empty(extent) || pool_.record(extent).to_trim)
        return;
    if (extent == current_)
        current_ = no_extent;
    unlink(extent);
    held_ -= pool_.slots_in(extent);
    pool_.give_back(extent);
}

bool slot_allocator::holds(std::uint32_t slot) const noexcept {
    if (slot >= pool_.slots())
        return false;
    const std::uint32_t extent = pool_.extent_of(slot);
    if (pool_.owner_of(extent) != owner_)
        return false;
    return (pool_.used(extent)[(slot - pool_.first_slot(extent)) / 64] >> slot % 64 & 1) != 0;
}

bool slot_allocator::empty(std::uint32_t extent) const noexcept {
    return pool_.record(extent).free_slots == pool_.slots_in(extent);
}

// ---- trimming -----------------------------------------------------------------------------------

bool slot_allocator::is_trimmable(std::uint32_t extent, std::uint32_t word) const noexcept {
    return keep_stale_ && pool_.used(extent)[word] == 0 && pool_.stale(extent)[word] != 0;
}

void slot_allocator::want_trim(std::uint32_t extent) noexcept {
    extent_record& record = pool_.record(extent);
    if (record.to_trim)
        return;
    record.to_trim = true;
    record.next_to_trim = trim_head_;
    trim_head_ = extent;
}

slot_run slot_allocator::begin_trim() noexcept {
    UFFDMM_CHECK(trimming_.count == 0, "one trim at a time");
    while (trim_head_ != no_extent) {
        const std::uint32_t extent = trim_head_;
        trimming_ = trimmable_run(extent);
        if (trimming_.count != 0) {
            set_used(extent, trimming_);
            pool_.record(extent).free_slots -= trimming_.count;
            relink(extent);
            return trimming_;
        }
        trim_head_ = pool_.record(extent).next_to_trim;
        pool_.record(extent).to_trim = false;
        vacate(extent); // its last run has been trimmed
    }
    return {};
}

slot_run slot_allocator::trimmable_run(std::uint32_t extent) const noexcept {
    const std::uint32_t words = pool_.slots_per_extent() / 64;
    std::uint32_t first = 0;
    while (first < words && !is_trimmable(extent, first))
        ++first;
    std::uint32_t end = first;
    while (end < words && is_trimmable(extent, end))
        ++end;
    const std::uint32_t slots = std::min(end * 64, pool_.slots_in(extent)) - first * 64;
    return first == end ? slot_run{} : slot_run{pool_.first_slot(extent) + first * 64, slots};
}

void slot_allocator::end_trim() noexcept {
    const slot_run run = std::exchange(trimming_, {});
    if (run.count == 0)
        return;
    const std::uint32_t extent = pool_.extent_of(run.first);
    const std::uint32_t first = run.first - pool_.first_slot(extent);
    for (std::uint32_t word = first / 64; word * 64 < first + run.count; ++word)
        pool_.used(extent)[word] &= ~mask_in_word(word, first, run.count);
    pool_.record(extent).free_slots += run.count;
    relink(extent);
    vacate(extent);
}

void slot_allocator::forget_stale() noexcept {
    keep_stale_ = false;
    trimmable_ = 0;
    while (trim_head_ != no_extent) {
        const std::uint32_t extent = trim_head_;
        trim_head_ = pool_.record(extent).next_to_trim;
        pool_.record(extent).to_trim = false;
        vacate(extent);
    }
}

slot_run slot_allocator::take_apart() noexcept {
    UFFDMM_CHECK(trimming_.count == 0, "a trim has ended");
    const std::uint32_t end = leaving_.first + leaving_.count;
    for (std::uint32_t slot = leaving_.first; slot < end; slot += pool_.slots_per_extent())
        pool_.give_back(pool_.extent_of(slot)); // only now: another shard may write there at once
    leaving_ = {};
    for (std::uint32_t& head : heads_)
        while (head != no_extent &&
               (leaving_.count == 0 || pool_.first_slot(head) == leaving_.first + leaving_.count)) {
            const std::uint32_t extent = head;
            if (leaving_.count == 0)
                leaving_.first = pool_.first_slot(extent);
            leaving_.count += pool_.slots_in(extent);
            std::ranges::fill(pool_.used(extent), 0);
            unlink(extent);
        }
    return leaving_;
}

// ---- lists --------------------------------------------------------------------------------------

slot_allocator::list slot_allocator::list_for(std::uint32_t extent) const noexcept {
    const std::uint32_t free = pool_.record(extent).free_slots;
    if (free == 0)
        return packed;
    return free * 4 >= pool_.slots_in(extent) ? roomy : scarce;
}

void slot_allocator::link(std::uint32_t extent, list to) noexcept {
    extent_record& record = pool_.record(extent);
    record.list = to;
    record.next = no_extent;
    record.previous = tails_[to];
    (tails_[to] == no_extent ? heads_[to] : pool_.record(tails_[to]).next) = extent;
    tails_[to] = extent;
}

void slot_allocator::unlink(std::uint32_t extent) noexcept {
    const extent_record& record = pool_.record(extent);
    (record.previous == no_extent ? heads_[record.list] : pool_.record(record.previous).next) =
        record.next;
    (record.next == no_extent ? tails_[record.list] : pool_.record(record.next).previous) =
        record.previous;
}

void slot_allocator::relink(std::uint32_t extent) noexcept {
    const list to = list_for(extent);
    if (pool_.record(extent).list == to)
        return;
    unlink(extent);
    link(extent, to);
}

} // namespace uffdmm
