// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Says what pages are, and reads the contents of those that are out of the guest, for a migration.
/// Nothing about the pages changes: none is installed, evicted, counted as used or written, and the
/// policy hears of none of it.
///
/// Each page's record is true of one moment during the command: the one in which this shard's
/// thread looked at its entry. What is in memory is copied in that moment; a slow tier's slot is
/// held until it was read, so its contents are of that moment, too, whatever becomes of the page
/// meanwhile.
///
///     page evicted meanwhile       it was resident in its moment
///     page faulted in meanwhile    its slot's release waits for the read
///     page discarded meanwhile     the same; its last contents are what it held in its moment
///     page demoted meanwhile       the same for the upper tier's slot
///
/// A step classifies at most 64 pages, of which it reads at most 16 on the spot, so a fault waits
/// for one of these at most (some 50 us of decompression). At most 64 reads of slow tiers are under
/// way for each of the two windows, and 8 in all while faults wait for slow tiers, too.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>

#include "uffdmm/engine/command.hpp"
#include "uffdmm/engine/peek_job.hpp"
#include "uffdmm/engine/shard_core.hpp"

namespace uffdmm {

template <kernel Kernel>
class peeker {
  public:
    peeker(shard_core<Kernel>& core, tier_client& client) : core_(core), client_(client) {}

    /// Reads under way.
    [[nodiscard]] std::size_t in_flight() const { return in_flight_; }

    /// One slice of the command. Returns whether it is done.
    bool step(command& c) {
        peek_job& job = *c.peek;
        if (job.watch && c.phase == 0) {
            core_.watch.begin(job.window, c.run);
            c.phase = 1;
        }
        const page_index slice_end{c.at.value + std::min<page_count>(slice, c.run.end() - c.at)};
        unsigned on_the_spot = 0;
        while (c.at < slice_end && on_the_spot < most_on_the_spot) {
            const look how = look_at(c.at, c.at - c.run.first, job);
            if (how == look::no_room)
                break;
            on_the_spot += how == look::read ? 1 : 0;
            c.at = c.at + 1;
        }
        start_reads();
        return c.at == c.run.end() && job.reading == 0;
    }

    /// From tier_client::load_done, for reads started here.
    void load_done(load_request& request) {
        auto& op = static_cast<peek_op&>(request);
        const tier_number tier = op.tier;
        const slot_id slot = op.slot;
        settle(*op.record, tier, op.status);
        --in_flight_;
        op.job->end(op);
        core_.chain.unhold(tier, slot);
    }

  private:
    static constexpr page_count slice = 64;
    static constexpr unsigned most_on_the_spot = 16;
    /// Reads under way while the guest waits for slow tiers: its own would queue behind them.
    static constexpr std::size_t most_beside_faults = 8;
    /// How long after a fault that had to wait for a slow tier the next one is expected.
    static constexpr std::uint64_t faults_go_on_ns = 2'000'000;
    enum class look : std::uint8_t {
        known,  ///< nothing to read, or its read is on its way
        read,   ///< read on the spot
        no_room ///< too many reads are under way
    };

    look look_at(page_index page, page_count index, peek_job& job) {
        const page_entry& entry = core_.table[page];
        page_record& record = job.records[index];
        record = {};
        if (job.watch)
            core_.watch.looked(job.window, page);
        switch (entry.state()) {
        case page_state::untouched:
            if (entry.has(page_flag::arriving)) { // zeros so far, and not its contents
                record.kind = page_kind::unreadable;
                record.cause = errc::busy;
            }
            return look::known;
        case page_state::resident:
            record.kind = page_kind::resident;
            return look::known;
        case page_state::poisoned:
            record.kind = page_kind::lost;
            return look::known;
        default:
            break;
        }
        std::byte* to =
            job.contents == nullptr ? nullptr : job.contents + std::size_t{index} * page_size;
        record.kind = page_kind::swapped;
        return entry.state() == page_state::staged ? copy_frame(entry, to)
                                                   : look_at_swapped(entry, record, to, job);
    }

    look copy_frame(const page_entry& entry, std::byte* to) {
        if (to == nullptr)
            return look::known;
        std::memcpy(to, core_.os.frame(entry.frame()), page_size);
        ++core_.counts.migration_reads;
        return look::read;
    }

    look look_at_swapped(const page_entry& entry, page_record& record, std::byte* to,
                         peek_job& job) {
        record.tier = entry.tier();
        if (entry.tier() == same_filled_tier) {
            record.kind = page_kind::same_filled;
            record.pattern = entry.fill_pattern();
            return look::known;
        }
        if (job.locations != nullptr && locate(entry, record, job))
            return look::known;
        if (to == nullptr)
            return look::known;
        const swap_tier& tier = std::as_const(core_.chain).at(entry.tier());
        if (tier.traits().synchronous_load)
            return read_now(entry, record, to);
        return read_later(entry, record, to, job) ? look::known : look::no_room;
    }

    /// A slot that has no location, for whatever reason, is read instead.
    bool locate(const page_entry& entry, page_record& record, peek_job& job) {
        if (std::as_const(core_.chain).at(entry.tier()).shared() == nullptr)
            return false;
        const result<location> place = core_.chain.at(entry.tier()).locate(entry.slot());
        if (!place)
            return false;
        record.kind = page_kind::located;
        job.locations[&record - job.records] = place.value();
        return true;
    }

    look read_now(const page_entry& entry, page_record& record, std::byte* to) {
        load_request request;
        request.slot = entry.slot();
        request.destination = to;
        load_request* const list[] = {&request};
        in_place_loads ended_in_call;
        core_.chain.at(entry.tier()).load(list, ended_in_call);
        settle(record, entry.tier(), request.status);
        return look::read;
    }

    bool read_later(const page_entry& entry, page_record& record, std::byte* to, peek_job& job) {
        const bool guest_waits = core_.step_ns - core_.slow_fault_ns < faults_go_on_ns;
        if (guest_waits && in_flight_ >= most_beside_faults)
            return false;
        if (!job.has_room() || !core_.chain.hold(entry.tier(), entry.slot()))
            return false;
        peek_op& op = job.take();
        op.slot = entry.slot();
        op.destination = to;
        op.status = tier_status::pending;
        op.tier = entry.tier();
        op.record = &record;
        ++in_flight_;
        if (starting_ != 0 && starts_tier_ != op.tier)
            start_reads();
        starts_tier_ = op.tier;
        starts_[starting_++] = &op;
        return true;
    }

    /// Together, so that neighbouring slots become one I/O.
    void start_reads() {
        const std::size_t n = std::exchange(starting_, 0);
        if (n != 0)
            core_.chain.at(starts_tier_).load(std::span(starts_.data(), n), client_);
    }

    /// A read has ended. What a tier could not read is told, and nothing else: only a fault poisons
    /// a page.
    void settle(page_record& record, tier_number tier, tier_status status) {
        if (status == tier_status::ok) {
            ++core_.counts.migration_reads;
            return;
        }
        const bool corrupt = status == tier_status::corrupt;
        tier_counters& counts = core_.chain.counters(tier);
        ++(corrupt ? counts.corrupt : counts.read_errors);
        record.kind = page_kind::unreadable;
        record.cause = corrupt ? errc::corrupt : errc::io_error;
    }

    shard_core<Kernel>& core_;
    tier_client& client_;
    std::size_t in_flight_ = 0;
    std::array<load_request*, peek_job::most_reads> starts_{}; ///< of one tier, not handed over yet
    std::size_t starting_ = 0;
    tier_number starts_tier_ = 0;
};

} // namespace uffdmm
