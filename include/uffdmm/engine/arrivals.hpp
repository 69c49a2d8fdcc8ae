// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Pages that come from another host or from a snapshot: into memory, into a tier, or as a slot
/// that is adopted where it is. No page is touched in the guest for it, and none is brought in to
/// be compared or written over.
///
///     untouched ─► arriving ─┬─ zeros ─────────► untouched
///                            ├─ same-filled ───► swapped, to its pattern
///                            ├─ warm, memory ──► resident
///                            ├─ cold ──────────► a tier ─► swapped
///                            │                   turned down ─► resident, when there is memory
///                            └─ location ──────► adopted slot, swapped
///
/// A fault on an arriving page waits until it is there; a discard makes it untouched, and what
/// arrives is dropped. Warm pages are warm as long as more than the low watermark of memory is
/// free: nothing is evicted for them, they go to a tier then, as they would from the reclaimer.

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <utility>

#include "uffdmm/engine/arrival_job.hpp"
#include "uffdmm/engine/command.hpp"
#include "uffdmm/engine/discarder.hpp"
#include "uffdmm/engine/installer.hpp"
#include "uffdmm/engine/same_filled.hpp"
#include "uffdmm/engine/shard_core.hpp"
#include "uffdmm/engine/swap_out.hpp"

namespace uffdmm {

template <kernel Kernel>
class arrivals {
  public:
    arrivals(shard_core<Kernel>& core, installer<Kernel>& install, swap_out<Kernel>& writes,
             discarder<Kernel>& discards)
        : core_(core), installer_(install), writes_(writes), discards_(discards) {}

    struct progress {
        bool finished = true;
        bool starving = false; ///< there must be memory before it goes on
        result<void> what;
    };

    /// One slice of the command, whose run has at most 64 pages. `stuck`: nothing can leave memory.
    progress step(command& c, bool stuck) {
        arrival_job& job = *c.arrival;
        if (c.phase == 0) {
            if (const result<void> fits = begin(c, job); !fits)
                return {true, false, fits};
            c.phase = 1;
        }
        const std::uint64_t before = job.todo;
        progress p = adopt(job);
        if (p.what.ok() && !lose(job))
            p = unfinished();
        if (p.what.ok() && p.finished)
            p = take_in(job, stuck);
        c.tries += job.todo != before ? 1 : 0;
        if (p.finished)
            forget(job);
        return p;
    }

  private:
    /// Pages whose contents are looked at, copied or handed over in a step.
    static constexpr page_count slice = 16;
    /// How long a page may be in the way that is being discarded.
    static constexpr std::uint64_t patience_ns = 2'000'000'000;

    static error failed(errc code, const char* what) { return {code, 0, what}; }
    static progress unfinished() { return {false, false, {}}; }

    // ---- what is there already ------------------------------------------------------------------

    /// Refuses, or makes every page of the run one that can be filled, or one that is present.
    result<void> begin(const command& c, arrival_job& job) {
        UFFDMM_CHECK(c.run.count <= arrival_job::most, "as many pages as a mask has bits");
        core_.used = true;
        job.first = c.run.first;
        job.todo = job.storing = job.turned_down = job.present = job.since_ns = 0;
        for (std::uint64_t left = job.pages; left != 0; left &= left - 1)
            if (const result<void> may = may_fill(core_.table[page_of(job, left)], job); !may)
                return may;
        for (std::uint64_t left = job.pages; left != 0; left &= left - 1)
            clear(page_of(job, left), job);
        return {};
    }
    [[nodiscard]] static result<void> may_fill(const page_entry& entry, const arrival_job& job) {
        if (job.expected)
            return {};
        if (entry.has(page_flag::arriving))
            return failed(errc::busy, "arriving: contents for a page are on their way already");
        if (entry.state() == page_state::poisoned)
            return failed(errc::poisoned, "arriving: a page is poisoned; discard it first");
        if (!job.replace && entry.state() != page_state::untouched)
            return failed(errc::wrong_state, "arriving: a page is not untouched");
        return {};
    }
    void clear(page_index page, arrival_job& job) {
        page_entry& entry = core_.table[page];
        if (job.expected && !entry.has(page_flag::arriving))
            return; // discarded: nobody wants it any more
        if (entry.state() == page_state::resident) {
            job.present |= job.bit_of(page);
            return;
        }
        discards_.forget(page);
        if ((job.zeros & job.bit_of(page)) != 0)
            return;
        entry.expect_contents(); // a store of before is none of it
        job.todo |= job.bit_of(page);
    }
    /// However the command ends, nothing waits for it any more.
    void forget(arrival_job& job) {
        UFFDMM_CHECK(job.storing == 0, "a job ends after its stores");
        if (job.expected)
            job.todo = 0; // they are still to come: faults go on waiting
        for (std::uint64_t left = job.todo; left != 0; left &= left - 1)
            core_.table[page_of(job, left)].clear(page_flag::arriving);
        job.todo = 0;
    }
    [[nodiscard]] static page_index page_of(const arrival_job& job, std::uint64_t mask) {
        return job.first + static_cast<page_count>(std::countr_zero(mask));
    }

    // ---- contents -------------------------------------------------------------------------------

    progress take_in(arrival_job& job, bool stuck) {
        page_count handled = 0;
        while (job.todo != 0 && handled < slice) {
            const page_index page = page_of(job, job.todo);
            page_entry& entry = core_.table[page];
            if (!entry.has(page_flag::arriving) || is_pattern(page, job)) {
                done(page, job);
                ++handled;
                continue;
            }
            const page_run run = run_from(page, job, slice - handled);
            const bool in_vain = (job.turned_down & job.bit_of(page)) != 0;
            const bool to_tier =
                !in_vain && ((job.cold & job.bit_of(page)) != 0 || !has_memory_for(run.count));
            if (to_tier && writes_.can_store() && !may_exceed(job, stuck)) {
                if (!may_grow_by(run.count))
                    return wait_for_memory(job, stuck);
                handled += offer(run, job);
                continue;
            }
            if (const std::optional<progress> stop = install(run, job, stuck))
                return *stop;
            handled += run.count;
        }
        return job.todo == 0 && job.storing == 0 ? progress{} : unfinished();
    }

    /// Zeros, and pages that repeat a word, need no memory and no tier.
    bool is_pattern(page_index page, arrival_job& job) {
        const auto pattern = fill_pattern_of(contents_of(page, job));
        if (!pattern)
            return false;
        // Another mapping may have put something into the file (second_mapping).
        if (*pattern == 0 && core_.traits.shared && core_.os.discard(page, 1).done == 0)
            return false;
        page_entry& entry = core_.table[page];
        if (*pattern == 0) {
            entry.clear(page_flag::arriving);
            return true;
        }
        entry.set_fill_pattern(*pattern);
        core_.adopted(page);
        ++core_.counts.same_filled_pages;
        return true;
    }
    [[nodiscard]] static const std::byte* contents_of(page_index page, const arrival_job& job) {
        return job.contents + std::size_t{page - job.first} * page_size;
    }
    void done(page_index page, arrival_job& job) { job.todo &= ~job.bit_of(page); }

    /// Pages from `page` on that go the same way; without those that repeat a word.
    [[nodiscard]] page_run run_from(page_index page, const arrival_job& job,
                                    page_count most) const {
        const auto way = [&](std::uint64_t bit) {
            return std::pair((job.turned_down & bit) != 0, (job.cold & bit) != 0);
        };
        page_run run{page, 1};
        while (run.count < most && run.end() - job.first < arrival_job::most) {
            const std::uint64_t bit = job.bit_of(run.end());
            if ((job.todo & bit) == 0 || way(bit) != way(job.bit_of(page)) ||
                !core_.table[run.end()].has(page_flag::arriving) ||
                fill_pattern_of(contents_of(run.end(), job)))
                break;
            ++run.count;
        }
        return run;
    }
    [[nodiscard]] bool has_memory_for(page_count n) {
        return core_.free_pages() >= static_cast<std::int64_t>(n) + installer_.arrival_reserve();
    }

    /// What comes from elsewhere frees no frame, so a tier in memory grows by it.
    [[nodiscard]] bool may_grow_by(page_count n) {
        return !core_.chain.stores_in_memory() || core_.free_pages() >= n;
    }
    /// A fault waits for the job, and nothing can leave memory: as for any other fault.
    [[nodiscard]] bool may_exceed(const arrival_job& job, bool stuck) const {
        if (!stuck || core_.tuning.when_full != on_swap_full::exceed)
            return false;
        for (std::uint64_t left = job.todo; left != 0; left &= left - 1)
            if (core_.table[page_of(job, left)].has(page_flag::waiting))
                return true;
        return false;
    }
    static progress wait_for_memory(arrival_job& job, bool stuck) {
        job.turned_down = 0; // a tier may have room by then
        if (!stuck)
            return {false, true, {}};
        return end(job, failed(errc::full, "arriving: neither memory nor a tier has room"));
    }

    page_count offer(page_run run, arrival_job& job) {
        page_count n = 0;
        while (n < run.count && writes_.has_room_for(n + 1))
            ++n;
        for (page_count i = 0; i < n; ++i) {
            done(run.first + i, job);
            job.storing |= job.bit_of(run.first + i);
        }
        writes_.offer({run.first, n}, contents_of(run.first, job), job);
        return n;
    }

    /// Returns a value if the command cannot go on now, or not at all.
    std::optional<progress> install(page_run run, arrival_job& job, bool stuck) {
        page_count n = run.count;
        while (n != 0 && !core_.try_charge(n))
            n /= 2;
        if (n == 0 && may_exceed(job, stuck)) {
            n = run.count;
            core_.money.charge(bytes_of(n));
            if (!std::exchange(over_limit_told_, true))
                core_.observer.on_event({event::kind::over_limit, {}, 0, errc::full});
        } else if (n != 0) {
            over_limit_told_ = false;
        }
        if (n == 0)
            return wait_for_memory(job, stuck);
        const auto r = installer_.fill({run.first, n}, contents_of(run.first, job));
        for (page_count i = 0; i < r.done; ++i)
            done(run.first + i, job);
        if (r.status == install_status::done)
            return {};
        return held_up(job, r.status);
    }
    progress held_up(arrival_job& job, install_status status) {
        if (status == install_status::starved)
            return {false, true, {}};
        if (status == install_status::gone)
            return end(job, failed(errc::not_found, "arriving: the range is unmapped"));
        if (job.since_ns == 0)
            job.since_ns = core_.step_ns;
        if (core_.step_ns - job.since_ns > patience_ns)
            return end(job, failed(errc::busy, "arriving: there is a page in the guest already"));
        return unfinished();
    }
    /// A failure waits for the stores under way.
    static progress end(const arrival_job& job, error why) {
        return job.storing == 0 ? progress{true, false, why} : unfinished();
    }

    // ---- lost -----------------------------------------------------------------------------------

    /// Every access to pages without contents is a machine check. Returns false if an unread event
    /// has to be dealt with first.
    bool lose(arrival_job& job) {
        for (std::uint64_t left = job.todo & job.lost; left != 0; left &= left - 1) {
            const page_index page = page_of(job, left);
            page_entry& entry = core_.table[page];
            if (entry.has(page_flag::arriving)) {
                UFFDMM_CHECK(core_.traits.poison,
                             "lost contents cannot be reported to the guest: this kernel has no "
                             "UFFDIO_POISON");
                if (core_.traits.shared && core_.os.discard(page, 1).done == 0)
                    return false; // another mapping may have put something there
                if (core_.os.poison(page, 1).done == 0)
                    return false;
                core_.adopted(page);
                entry.apply(page_op::poison);
                ++core_.counts.poisoned_pages;
                core_.observer.on_event(
                    {event::kind::page_poisoned, {}, core_.os.address(page), errc::poisoned});
                (void)core_.os.wake(page, 1);
            }
            done(page, job);
        }
        return true;
    }

    // ---- locations ------------------------------------------------------------------------------

    progress adopt(arrival_job& job) {
        for (std::uint64_t left = job.todo & job.located & ~job.lost; left != 0; left &= left - 1) {
            const page_index page = page_of(job, left);
            if (core_.table[page].has(page_flag::arriving))
                if (const result<void> adopted = adopt(page, job.locations[page - job.first]);
                    !adopted) {
                    if (!job.expected)
                        return {true, false, adopted};
                    job.refused = adopted.failure();
                    job.lost |= job.bit_of(page);
                    continue;
                }
            done(page, job);
        }
        return {};
    }
    result<void> adopt(page_index page, const location& place) {
        error why = failed(errc::not_found, "adopt: no tier has this store");
        for (tier_number tier = 1; tier <= core_.chain.last(); ++tier) {
            if (std::as_const(core_.chain).at(tier).shared() == nullptr)
                continue;
            const result<slot_id> slot = core_.chain.at(tier).adopt(place, page.value);
            if (slot) {
                page_entry& entry = core_.table[page];
                entry.set_slot(tier, slot.value());
                core_.adopted(page);
                return {};
            }
            if (why.code == errc::not_found)
                why = slot.failure();
        }
        return why;
    }

    shard_core<Kernel>& core_;
    installer<Kernel>& installer_;
    swap_out<Kernel>& writes_;
    discarder<Kernel>& discards_;
    bool over_limit_told_ = false; ///< since the last time that there was room
};

} // namespace uffdmm
