// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// From the staged list to the tiers: the oldest staged pages give up their frames. Zero and
/// same-filled pages need no tier, clean ones no write; the rest is offered to the chain in
/// batches. Also demotes: the coldest pages of a tier that is nearly full go one level down.

#include <array>
#include <bit>
#include <utility>

#include "uffdmm/detail/growing_table.hpp"
#include "uffdmm/engine/arrival_job.hpp"
#include "uffdmm/engine/buffer_pool.hpp"
#include "uffdmm/engine/same_filled.hpp"
#include "uffdmm/engine/shard_core.hpp"

namespace uffdmm {

template <kernel Kernel>
class swap_out final : public store_listener {
  public:
    /// `buffers`: for pages on their way from one tier to the next.
    swap_out(shard_core<Kernel>& core, buffer_pool& buffers, tier_client& client)
        : core_(core), buffers_(buffers), client_(client), ops_(max_ops) {}

    /// Pages being written, demotions included.
    [[nodiscard]] page_count in_flight() const { return in_flight_; }
    [[nodiscard]] byte_count memory_bytes() const { return ops_.memory_bytes(); }

    /// Pages that have given up their frame so far.
    [[nodiscard]] std::uint64_t freed() const { return freed_; }
    /// Whether another page could be written at once.
    [[nodiscard]] bool has_room() const { return free_ != nullptr || ops_.can_grow(); }
    [[nodiscard]] bool has_room_for(page_count n) const { return in_flight_ + n <= max_ops; }

    /// Empties the oldest cluster as far as possible. Returns whether any page got on its way; a
    /// tier may still turn it down.
    bool drain_oldest() {
        if (!has_room())
            return false;
        cluster* c = core_.frames.pop_oldest();
        return c != nullptr && drain(*c);
    }

    /// Gives up the frame of a staged page, and of those that share its cluster.
    void drain_holder(frame_index frame) {
        if (cluster* c = core_.frames.pop_holder(frame))
            (void)drain(*c);
    }

    /// Whether contents from elsewhere could be stored now.
    [[nodiscard]] bool can_store() const {
        return has_room() && core_.chain.can_store(1, core_.os.now_ns());
    }
    /// Offers contents from elsewhere to the tiers, for untouched pages that are `arriving`; there
    /// is room for each. `contents` stay until the job's bit of the page in `storing` is cleared.
    void offer(page_run run, const std::byte* contents, arrival_job& job) {
        std::array<store_op*, cluster_pages> ops;
        for (page_count i = 0; i < run.count; ++i) {
            store_op& op = take();
            op.page = run.first + i;
            op.frame = no_frame;
            op.from = 0;
            op.owner = op.page.value;
            op.contents = contents + std::size_t{i} * page_size;
            op.arrival = &job;
            core_.table[op.page].set_frame(number_of(op));
            ops[i] = &op;
        }
        core_.chain.offer(std::span(ops.data(), run.count), 1, core_.os.now_ns(), client_, *this);
        pass_on();
    }

    /// The tiers turned pages down, or a write ended: move on to the next tier.
    void pass_on() {
        if (core_.chain.has_refused())
            core_.chain.pass_on(core_.os.now_ns(), client_, *this);
    }

    void store_done(store_request& request) {
        core_.chain.store_done(request, core_.os.now_ns(), *this);
    }

    /// Demotes from every tier that is above its high mark; returns whether anything started.
    bool demote() {
        bool started = false;
        for (tier_number tier = 1; tier < core_.chain.last(); ++tier)
            if (nearly_full(tier))
                started |= demote_from(tier);
        return started;
    }

  private:
    static constexpr std::uint32_t max_ops = 512;
    static constexpr std::size_t demote_batch = 32;

    // ---- swapping out ---------------------------------------------------------------------------

    bool drain(cluster& c) {
        std::array<store_op*, cluster_pages> ops;
        std::size_t n = 0;
        bool progress = false;
        const bool can_store = core_.chain.can_store(1, core_.os.now_ns());
        for (std::uint64_t left = c.staged & ~c.kept; left != 0; left &= left - 1) {
            const auto index = static_cast<unsigned>(std::countr_zero(left));
            const page_index page = c.base + index;
            if (drop_without_write(page)) {
                progress = true;
            } else if (can_store && has_room()) {
                ops[n++] = &start(page);
            }
        }
        if (c.where == cluster::place::draining && c.storing == 0)
            core_.frames.requeue(c);
        core_.chain.offer(std::span(ops.data(), n), 1, core_.os.now_ns(), client_, *this);
        pass_on();
        return progress || n != 0;
    }

    /// Clean, zero and same-filled pages.
    bool drop_without_write(page_index page) {
        page_entry& entry = core_.table[page];
        const frame_index frame = entry.frame();
        if (entry.has(page_flag::has_slot)) {
            entry.apply(page_op::drop);
            ++core_.counts.dropped_clean;
            core_.writes_ahead.left_clean();
        } else {
            const auto pattern = fill_pattern_of(core_.os.frame(frame));
            if (!pattern)
                return false;
            if (*pattern == 0) {
                entry.apply(page_op::found_zero);
                core_.watch.changes(page); // of shared memory the file may tell more now
                ++core_.counts.dropped_zero;
            } else {
                entry.set_fill_pattern(*pattern);
                entry.apply(page_op::drop);
                ++core_.counts.dropped_same_filled;
                ++core_.counts.same_filled_pages;
            }
        }
        core_.frames.kill(frame);
        ++freed_;
        return true;
    }

    store_op& start(page_index page) {
        page_entry& entry = core_.table[page];
        store_op& op = take();
        op.page = page;
        op.frame = entry.frame();
        op.from = 0;
        op.owner = page.value;
        op.contents = core_.os.frame(op.frame);
        entry.set(page_flag::storing);
        core_.frames.start_storing(op.frame);
        return op;
    }

    /// Whether the op still writes what its page entry means. It does not when the page was taken
    /// back or discarded meanwhile; a new eviction cannot reuse the frame before the op ends.
    [[nodiscard]] bool current(const store_op& op) const {
        const page_entry& entry = core_.table[op.page];
        if (op.arrival != nullptr)
            return entry.state() == page_state::untouched && entry.has(page_flag::arriving) &&
                   entry.frame() == number_of(op);
        if (op.frame != no_frame)
            return entry.state() == page_state::staged && entry.frame() == op.frame;
        // The op's number is kept in the entry: the page may have come in, left again to the same
        // slot and be demoted anew while this op was under way.
        return entry.state() == page_state::swapped && entry.has(page_flag::demoting) &&
               entry.frame() == number_of(op);
    }

    void stored(store_op& op) noexcept override {
        page_entry& entry = core_.table[op.page];
        const bool valid = current(op);
        if (!valid)
            core_.chain.release(op.tier, op.slot);
        if (op.arrival != nullptr) {
            if (valid) {
                entry.set_slot(op.tier, op.slot);
                core_.adopted(op.page);
            }
            end_arrival(op, false);
        } else if (op.frame != no_frame) {
            if (valid) {
                entry.clear(page_flag::storing);
                entry.set_slot(op.tier, op.slot);
                entry.apply(page_op::drop);
                ++core_.counts.swapped_out;
                ++freed_;
            }
            core_.frames.end_storing(op.frame, staging::fate::dead);
        } else {
            if (valid) {
                entry.clear(page_flag::demoting);
                entry.set_slot(op.tier, op.slot);
                core_.chain.release(op.from, op.old_slot);
                ++core_.chain.counters(op.from).demoted;
            }
            end_demotion(op);
        }
        give_back(op);
        --in_flight_;
    }

    void not_stored(store_op& op) noexcept override {
        page_entry& entry = core_.table[op.page];
        const bool valid = current(op);
        if (op.arrival != nullptr) {
            end_arrival(op, valid);
        } else if (op.frame != no_frame) {
            if (valid)
                entry.clear(page_flag::storing);
            core_.frames.end_storing(op.frame, !valid ? staging::fate::dead
                                               : core_.chain.is_unwanted(op)
                                                   ? staging::fate::kept
                                                   : staging::fate::staged);
        } else {
            if (valid)
                entry.clear(page_flag::demoting);
            end_demotion(op);
        }
        give_back(op);
        --in_flight_;
    }

    void tier_degraded(tier_number tier, tier_status why) noexcept override {
        report(event::kind::tier_degraded, tier,
               why == tier_status::full ? errc::full : errc::io_error);
    }
    void tier_recovered(tier_number tier) noexcept override {
        report(event::kind::tier_recovered, tier, errc::ok);
    }
    void report(event::kind what, tier_number tier, errc cause) noexcept {
        core_.observer.on_event({what, core_.chain.at(tier).traits().name, 0, cause});
    }

    static void end_arrival(store_op& op, bool turned_down) {
        op.arrival->stored(op.page, turned_down);
        op.arrival = nullptr;
    }

    // ---- demotion -------------------------------------------------------------------------------

    /// Above 7/8 of its capacity: the rest is the room that new pages arrive in.
    [[nodiscard]] bool nearly_full(tier_number tier) const {
        const tier_traits& traits = std::as_const(core_.chain).at(tier).traits();
        const tier_counters& now = std::as_const(core_.chain).counters(tier);
        const byte_count capacity = now.capacity_bytes.load();
        return traits.keeps_cold_order && traits.synchronous_load && capacity != 0 &&
               now.occupied_bytes.load() > capacity - capacity / 8;
    }

    bool demote_from(tier_number tier) {
        const auto below = static_cast<tier_number>(tier + 1);
        if (!core_.chain.can_store(below, core_.os.now_ns()) || demoting_ >= 4 * demote_batch)
            return false;
        std::array<cold_slot, 2 * demote_batch> cold;
        const std::size_t found = core_.chain.at(tier).coldest(cold);
        std::array<store_op*, demote_batch> ops;
        std::size_t n = 0;
        for (std::size_t i = 0; i < found && n < demote_batch; ++i)
            if (store_op* op = start_demotion(tier, cold[i]))
                ops[n++] = op;
        core_.chain.offer(std::span(ops.data(), n), below, core_.os.now_ns(), client_, *this);
        pass_on();
        return n != 0;
    }

    /// Reads the page into a buffer and makes an op of it; nullptr if the page is busy.
    store_op* start_demotion(tier_number tier, const cold_slot& cold) {
        const page_index page{static_cast<std::uint32_t>(cold.owner)};
        page_entry& entry = core_.table[page];
        if (entry.state() != page_state::swapped || entry.tier() != tier ||
            entry.slot() != cold.slot || entry.has(page_flag::demoting) ||
            entry.has(page_flag::loading) || !has_room())
            return nullptr;
        std::byte* buffer = buffers_.take(1);
        if (buffer == nullptr)
            return nullptr;
        load_request read;
        read.slot = cold.slot;
        read.destination = buffer;
        load_request* const list[] = {&read};
        in_place_loads ended_in_call;
        core_.chain.at(tier).load(list, ended_in_call);
        if (read.status != tier_status::ok) { // left where it is: the fault path deals with it
            buffers_.give_back(buffer, 1);
            return nullptr;
        }
        ++demoting_;
        store_op& op = take();
        entry.set(page_flag::demoting);
        entry.set_frame(number_of(op));
        op.page = page;
        op.frame = no_frame;
        op.from = tier;
        op.old_slot = cold.slot;
        op.owner = page.value;
        op.contents = buffer;
        return &op;
    }

    void end_demotion(store_op& op) {
        buffers_.give_back(const_cast<std::byte*>(op.contents), 1);
        --demoting_;
    }

    [[nodiscard]] frame_index number_of(const store_op& op) const { return {ops_.number_of(op)}; }

    // ---- the pool of ops ------------------------------------------------------------------------

    store_op& take() {
        if (free_ == nullptr)
            give_back(ops_[ops_.add()]);
        store_op& op = *free_;
        free_ = op.next;
        op.next = nullptr;
        op.refusals = 0;
        ++in_flight_;
        return op;
    }
    void give_back(store_op& op) {
        op.next = free_;
        free_ = &op;
    }

    shard_core<Kernel>& core_;
    buffer_pool& buffers_;
    tier_client& client_;
    growing_table<store_op> ops_;
    store_op* free_ = nullptr;
    std::uint64_t freed_ = 0;
    page_count in_flight_ = 0;
    page_count demoting_ = 0;
};

} // namespace uffdmm
