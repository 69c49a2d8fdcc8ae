// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Puts pages into the guest: the only place where a page becomes resident. Every function keeps
/// the page's old copy until the kernel has confirmed the new mapping, so an operation that stops
/// half-way leaves each page wholly in one state (invariant 1).

#include <cstddef>
#include <cstring>

#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/engine/cost_chooser.hpp"
#include "uffdmm/engine/shard_core.hpp"

namespace uffdmm {

/// How far an installation came.
enum class install_status : std::uint8_t {
    done,
    pending,  ///< a tier read is under way; it installs the page
    poisoned, ///< the contents are lost
    parked,   ///< an event is unread: read messages, then try again
    starved,  ///< no free frame
    crowded,  ///< too many reads are under way to start another
    gone      ///< the range is not ours any more: forget the fault
};

/// Which pages of a run somebody waits for: bit i is page first+i. The others are prefetched.
using demand_mask = std::uint64_t;
inline constexpr demand_mask first_demanded = 1;
inline constexpr demand_mask none_demanded = 0;

struct install_result {
    page_count done = 0;
    install_status status = install_status::done;
};

template <kernel Kernel>
class installer {
  public:
    explicit installer(shard_core<Kernel>& core)
        : core_(core), zeros_(mapping::anonymous(max_run * page_size)),
          take_back_by_(core.traits.move ? 1 : 0) {}

    /// Zero-fills untouched pages. A page to be written gets memory at once, which saves the
    /// kernel's own fault later; for a read the shared zero page does.
    /// The caller has charged n (1..64) pages; what is not installed is uncharged here.
    install_result zeros(page_index first, page_count n, demand_mask demanded, bool write) {
        const auto attempt = [&](page_index at, page_count count) {
            return write ? core_.os.copy_in(at, count, zeros_.data(), false)
                         : core_.os.zero_in(at, count);
        };
        return install({first, n}, page_op::install_zero, demanded, false, attempt);
    }

    /// Maps a huge page of zeros over an untouched block, for a fault on `demanded`. The caller has
    /// charged the block; what is not installed is uncharged here.
    install_result huge_zeros(page_run block, page_index demanded) {
        core_.watch.changes(block); // before the guest can write
        const kernel_result r = core_.os.huge_in(block.first);
        for (page_count i = 0; i < r.done; ++i)
            core_.made_resident(block.first + i, page_op::install_zero, install_cause::huge_page);
        core_.uncharge(block.count - r.done);
        if (r.done > demanded - block.first)
            core_.fresh.add(core_.table, demanded, core_.step_ns);
        if (r.done == block.count) {
            ++core_.counts.huge_installs;
            return {r.done, install_status::done};
        }
        if (r.done != 0)
            core_.huge.has_single(block.first);
        return {r.done, r.status == kernel_status::again ? install_status::parked
                                                         : install_status::starved};
    }

    /// Copies `contents` into absent pages, which are swapped (op install) or staged (op
    /// take_back). The caller has charged n pages; what is not installed is uncharged here.
    /// `clean`: map write-protected and keep the slot.
    install_result copies(page_run run, const std::byte* contents, page_op op, demand_mask demanded,
                          bool clean) {
        const auto attempt = [&](page_index at, page_count count) {
            const std::size_t offset = std::size_t{at - run.first} * page_size;
            return core_.os.copy_in(at, count, contents + offset, clean);
        };
        return install(run, op, demanded, clean, attempt);
    }

    /// Copies contents that came from elsewhere into untouched pages. Charged by the caller as
    /// above. `parked` also if there is a page already: one that is being discarded, as was heard.
    install_result fill(page_run run, const std::byte* contents) {
        return copies(run, contents, page_op::fill, ~demand_mask{0}, false);
    }

    /// shmem: maps an untouched page that is in the page cache. Charged by the caller as above.
    install_result mapped(page_index page) {
        const auto attempt = [&](page_index at, page_count count) {
            return core_.os.continue_in(at, count, false);
        };
        return install({page, 1}, page_op::install_zero, first_demanded, false, attempt);
    }

    /// Takes a staged page back into the guest, by moving its frame or by copying it: a move saves
    /// memory and costs a TLB flush, a copy costs neither flush nor wait but leaves a dead frame.
    install_status take_back(page_index page, bool write) {
        page_entry& entry = core_.table[page];
        const frame_index frame = entry.frame();
        const bool storing = entry.has(page_flag::storing);
        const bool clean =
            entry.has(page_flag::has_slot) && !write && core_.writes_ahead.stays_clean(entry);
        const bool movable = core_.traits.move && !storing && !clean;
        if (movable && take_back_by_.choose() == 1) {
            const auto status = timed_move(page, frame);
            if (status != install_status::starved)
                return status;
        }
        if (!core_.try_charge()) {
            if (!movable)
                return install_status::starved;
            return move_back(page, frame);
        }
        entry.clear(page_flag::storing);
        const std::uint64_t start = core_.os.now_ns();
        const auto r =
            copies({page, 1}, core_.os.frame(frame), page_op::take_back, first_demanded, clean);
        take_back_by_.learn(0, core_.os.now_ns() - start + release_cost_ns);
        if (r.done == 1 && !storing)
            core_.frames.kill(frame);
        if (r.done == 0 && storing)
            entry.set(page_flag::storing);
        return r.done == 1 ? install_status::done : r.status;
    }

    /// EEXIST: the guest sees a page there already, so that page is the truth from now on
    /// (eexist_means_race). Waiters are woken explicitly: nobody else will.
    void adopt_present(page_index page, page_op op, bool demanded) {
        ++core_.counts.eexist_races;
        if (is_leaving(op))
            core_.uncharge(1);
        else
            installed(page, op, demanded, false);
        (void)core_.os.wake(page, 1);
    }

    /// Free pages that prefetching must leave alone.
    [[nodiscard]] page_count prefetch_reserve() const { return prefetch_reserve_; }
    /// Free pages that arrivals leave alone: what finds fewer goes to a tier at once, and not to
    /// the guest only to be evicted.
    [[nodiscard]] page_count arrival_reserve() const { return arrival_reserve_; }
    void set_reserves(page_count prefetch, page_count arrival) {
        prefetch_reserve_ = prefetch;
        arrival_reserve_ = arrival;
    }

  private:
    /// Cost of giving a dead frame back in a batch, as measured on two CPUs (FACTS: 0.9-1.3 us).
    static constexpr std::uint64_t release_cost_ns = 1000;

    template <typename Attempt>
    install_result install(page_run run, page_op op, demand_mask demanded, bool clean,
                           Attempt&& attempt) {
        page_count at = 0;
        page_count intruder_at = run.count;
        install_status status = install_status::done;
        core_.watch.changes(run); // before the guest can write
        while (at < run.count && status == install_status::done) {
            const kernel_result r = attempt(run.first + at, run.count - at);
            for (page_count i = 0; i < r.done; ++i)
                installed(run.first + (at + i), op, is_demanded(demanded, at + i), clean);
            at += r.done;
            if (at == run.count || r.status == kernel_status::ok)
                continue;
            if (r.status != kernel_status::exists)
                status = failure(r.status, run.first + at);
            else if (op == page_op::fill && !core_.traits.shared)
                status = install_status::parked;
            else if (must_win(op)) {
                // Twice in a row: somebody is at it right now. Later.
                status =
                    intruder_at == at ? install_status::parked : evict_intruder(run.first + at);
                intruder_at = at;
            } else {
                adopt_present(run.first + at, op, is_demanded(demanded, at));
                ++at;
            }
        }
        core_.uncharge(run.count - at);
        return {at, status};
    }

    [[nodiscard]] static bool is_demanded(demand_mask demanded, page_count index) {
        return (demanded >> index & 1) != 0;
    }
    [[nodiscard]] static install_cause cause_of(page_op op) {
        switch (op) {
        case page_op::install_zero:
        case page_op::fill:
            return install_cause::first_touch;
        case page_op::take_back:
            return install_cause::take_back;
        default:
            return install_cause::swap_in;
        }
    }

    /// shmem: what is in the way of contents we hold got there by another mapping, which read or
    /// wrote the hole (second_mapping). Private memory: only the guest's own mapping can be there.
    [[nodiscard]] bool must_win(page_op op) const {
        return core_.traits.shared && op != page_op::install_zero;
    }
    /// An untouched page of private memory that is mapped is one whose discard was heard of and has
    /// not happened yet. Taking it for resident would let it be evicted with its dead contents,
    /// which would then come back (fault_before_remove).
    [[nodiscard]] bool is_leaving(page_op op) const {
        return !core_.traits.shared && op == page_op::install_zero;
    }
    install_status evict_intruder(page_index page) {
        ++core_.counts.foreign_pages;
        const kernel_result r = core_.os.discard(page, 1);
        return r.done == 1 ? install_status::done : install_status::parked;
    }

    void installed(page_index page, page_op op, bool demanded, bool clean) {
        core_.made_resident(page, op, demanded ? cause_of(op) : install_cause::prefetch);
        page_entry& entry = core_.table[page];
        if (clean && entry.has(page_flag::has_slot))
            entry.set(page_flag::write_protected);
        else
            core_.forget_slot(entry);
    }

    install_status timed_move(page_index page, frame_index frame) {
        const std::uint64_t start = core_.os.now_ns();
        const install_status status = move_back(page, frame);
        take_back_by_.learn(1, core_.os.now_ns() - start);
        return status;
    }

    install_status move_back(page_index page, frame_index frame) {
        core_.watch.changes(page); // before the guest can write
        const kernel_result r = core_.os.move_in(page, 1, frame);
        if (r.done == 1) {
            installed(page, page_op::take_back, true, false);
            core_.frames.vacate(frame);
            return install_status::done;
        }
        if (r.status == kernel_status::exists) {
            adopt_present(page, page_op::take_back, true);
            core_.frames.kill(frame);
            core_.money.charge(page_size);
            return install_status::done;
        }
        if (r.status == kernel_status::missing)
            return fill_hole(page, frame);
        return r.status == kernel_status::busy ? install_status::starved : failure(r.status, page);
    }

    /// The frame is a hole: the page was discarded after we had heard of it and made it resident
    /// again, so zeros were taken out, and zeros it is.
    install_status fill_hole(page_index page, frame_index frame) {
        const kernel_result r = core_.os.zero_in(page, 1);
        if (r.done == 0 && r.status != kernel_status::exists)
            return failure(r.status, page);
        if (r.done == 1)
            installed(page, page_op::take_back, true, false);
        else
            adopt_present(page, page_op::take_back, true);
        core_.frames.vacate(frame); // its charge is the page's now
        return install_status::done;
    }

    [[nodiscard]] install_status failure(kernel_status status, page_index page) {
        switch (status) {
        case kernel_status::again:
        case kernel_status::busy:
            return install_status::parked;
        case kernel_status::missing: // it left the page cache: let the thread fault anew
            (void)core_.os.wake(page, 1);
            return install_status::gone;
        case kernel_status::gone:
            return install_status::gone;
        case kernel_status::no_memory:
            return install_status::starved;
        default:
            UFFDMM_CHECK(false, "the kernel refused to install a page");
        }
    }

    shard_core<Kernel>& core_;
    mapping zeros_; ///< never written: maps the kernel's zero page, costs nothing
    cost_chooser take_back_by_;
    page_count prefetch_reserve_ = 0;
    page_count arrival_reserve_ = 0;
};

} // namespace uffdmm
