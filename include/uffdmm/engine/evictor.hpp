// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Takes pages out of the guest into frames, a virtually contiguous cluster at a time: resident
/// pages of one aligned 64-page window leave under one ioctl and one TLB flush. Of what a one-pass
/// reader has passed, pages that are clean are discarded instead: that is one flush for all, where
/// a move costs one for each gap.

#include <algorithm>
#include <array>
#include <bit>
#include <span>

#include "uffdmm/engine/shard_core.hpp"

namespace uffdmm {

enum class evict_status : std::uint8_t {
    done,    ///< at least one page left, and is staged
    dropped, ///< at least one page left, and none is staged
    nothing, ///< no page may leave
    blocked, ///< every page tried is busy or pinned: others may still leave
    fresh,   ///< every page tried was installed a moment ago
    no_room, ///< no free cluster of frames
    parked   ///< an event is unread; some pages may have left
};

template <kernel Kernel>
class evictor {
  public:
    explicit evictor(shard_core<Kernel>& core) : core_(core) {}

    /// Evicts the policy's next victim and those of its neighbours that the policy lets go.
    evict_status evict_cluster() {
        core_.fresh.expire(core_.table, core_.step_ns);
        if (core_.policy->size() == 0)
            return evict_status::nothing;
        evict_status passed_over = evict_status::blocked;
        const page_index victim = next_victim(passed_over);
        if (victim == no_page)
            return passed_over;
        const page_index base = window_of(victim);
        std::uint64_t wanted = 0;
        for (unsigned i = 0; i < window_pages(base); ++i) {
            const page_index page = base + i;
            if (!evictable(page))
                continue;
            if (page == victim || (!spared(page) && !core_.policy->keep(page)))
                wanted |= bit(i);
        }
        return evict(base, wanted);
    }

    /// Evicts what one-pass readers have passed: clean pages of several windows, then the others of
    /// the last of these. `nothing`: no such page is left.
    evict_status evict_passed() {
        clean_pages clean;
        page_run run;
        std::uint64_t others = 0;
        while (!core_.passed.empty() && clean.pages < enough_clean && others == 0) {
            run = core_.passed.take(cluster_pages);
            others = sort_out(run, clean);
        }
        const bool dropped = clean.pages != 0 && discard(clean);
        if (others == 0)
            return dropped ? evict_status::dropped : evict_status::nothing;
        const evict_status how = evict(window_of(run.first), others, turn::first);
        if (how == evict_status::parked || how == evict_status::no_room)
            core_.passed.add(run);
        return how == evict_status::blocked && dropped ? evict_status::dropped : how;
    }

    /// Evicts those pages of `run` (inside one window) that are resident and not pinned.
    evict_status evict_run(page_run run) {
        const page_index base = window_of(run.first);
        std::uint64_t wanted = 0;
        for (page_index page = run.first; page < run.end(); page = page + 1)
            if (evictable(page))
                wanted |= bit(page - base);
        return wanted == 0 ? evict_status::nothing : evict(base, wanted);
    }

    [[nodiscard]] static page_index window_of(page_index page) {
        return {page.value & ~(cluster_pages - 1)};
    }

    /// Victims passed over in one call, because they are pinned or fresh.
    static constexpr unsigned most_passed_over = 256;

  private:
    /// Clean pages that are worth a TLB flush; with what the last window has there are no more than
    /// most_discard_runs.
    static constexpr page_count enough_clean = 64;

    /// The policy's next victim that may leave; others move out of the way. no_page: `why` tells
    /// what was in the way.
    [[nodiscard]] page_index next_victim(evict_status& why) {
        page_index watched = no_page;
        for (unsigned tries = 0; tries < most_passed_over; ++tries) {
            const page_index page = core_.policy->next_victim();
            const page_entry& entry = core_.table[page];
            if (!entry.has(page_flag::pinned) && !spared(page))
                return page;
            if (entry.has(page_flag::fresh))
                why = evict_status::fresh;
            else if (!entry.has(page_flag::pinned))
                watched = page;
            core_.policy->requeue(page);
        }
        return why == evict_status::fresh ? no_page : watched;
    }
    /// For a moment: somebody has just been woken to access it, or is reading it for a migration.
    [[nodiscard]] bool spared(page_index page) const {
        return core_.table[page].has(page_flag::fresh) || core_.watch.covers(page);
    }
    [[nodiscard]] unsigned window_pages(page_index base) const {
        return std::min<page_count>(cluster_pages, core_.pages() - base.value);
    }
    [[nodiscard]] bool evictable(page_index page) const {
        const page_entry& entry = core_.table[page];
        return entry.state() == page_state::resident && !entry.has(page_flag::pinned);
    }

    /// Pages that are in their slots as well.
    struct clean_pages {
        std::array<page_run, most_discard_runs> runs;
        std::size_t size = 0;
        page_count pages = 0;

        void add(page_index page) {
            ++pages;
            if (size != 0 && runs[size - 1].end() == page)
                ++runs[size - 1].count;
            else
                runs[size++] = {page, 1};
        }
    };

    /// The passed pages of a run that may be discarded go to `clean`; returns the others.
    std::uint64_t sort_out(page_run run, clean_pages& clean) {
        std::uint64_t others = 0;
        for (page_index page = run.first; page < run.end(); page = page + 1) {
            page_entry& entry = core_.table[page];
            if (!evictable(page) || !entry.has(page_flag::passing))
                continue;
            if (!core_.traits.may_discard() || !entry.has(page_flag::has_slot)) {
                others |= bit(page - window_of(run.first));
                continue;
            }
            entry.clear(page_flag::passing); // another run may name it, too
            clean.add(page);
        }
        return others;
    }

    /// Nobody can write to a clean page without a fault, and then it is swapped like any other: no
    /// frame has to keep it, and no second chance is due. Returns whether any page left.
    bool discard(const clean_pages& clean) {
        const kernel_result r = core_.os.discard_all({clean.runs.data(), clean.size});
        ++core_.counts.evict_ioctls;
        page_count left = r.done;
        for (const page_run& run : std::span(clean.runs.data(), clean.size)) {
            const page_count gone = std::min(run.count, left);
            left -= gone;
            dropped({run.first, gone});
            stayed({run.first + gone, run.count - gone});
        }
        return r.done != 0;
    }
    void stayed(page_run run) {
        for (page_index page = run.first; page < run.end(); page = page + 1) {
            ++core_.counts.busy_pages;
            core_.policy->requeue(page);
        }
    }
    void dropped(page_run run) {
        for (page_index page = run.first; page < run.end(); page = page + 1) {
            core_.leaves_residence(page);
            core_.table[page].apply(page_op::drop);
            core_.writes_ahead.left_clean();
            ++core_.counts.dropped_clean;
            ++core_.counts.evicted_pages;
        }
        core_.uncharge(run.count);
    }

    /// When staged pages are to be swapped out.
    enum class turn : std::uint8_t { last, first };

    evict_status evict(page_index base, std::uint64_t wanted, turn when = turn::last) {
        cluster* c = cluster_for(base, wanted);
        if (c == nullptr)
            return evict_status::no_room;
        const std::uint64_t before = c->staged;
        const std::uint64_t stays = staying(base, wanted) | before; // no move passes a full frame
        bool parked = false;
        for (std::uint64_t left = wanted; left != 0 && !parked;) {
            const auto start = static_cast<unsigned>(std::countr_zero(left));
            const std::uint64_t run = run_mask(start, left, stays);
            left &= ~run;
            parked = take_out(*c, start, run);
        }
        const bool moved = c->staged != before;
        if (!moved)
            core_.frames.give_back(*c); // as a finished one it would look like progress
        else if (when == turn::first)
            core_.frames.commit_oldest(*c);
        else
            core_.frames.commit(*c);
        if (parked)
            return evict_status::parked;
        return moved ? evict_status::done : evict_status::blocked;
    }

    /// A free one; when those become scarce, the one that keeps pages of the window already, at the
    /// price of an ioctl for each gap between them.
    [[nodiscard]] cluster* cluster_for(page_index base, std::uint64_t wanted) {
        if (core_.frames.crowded())
            for (unsigned i = 0; i < window_pages(base); ++i) {
                const page_entry& entry = core_.table[base + i];
                if (entry.state() != page_state::staged)
                    continue;
                if (cluster* c = core_.frames.take_kept(entry.frame(), wanted))
                    return c;
            }
        return core_.frames.take(base);
    }

    /// Pages of the window that are not wanted and may have contents: no ioctl may span them. The
    /// others are holes. An untouched page of private memory can be mapped only while the kernel is
    /// still discarding it: its contents are dead, so sweeping it into a frame nobody reads is
    /// harmless. One of shared memory may hold what came through another mapping
    /// (second_mapping), which is not ours to take.
    [[nodiscard]] std::uint64_t staying(page_index base, std::uint64_t wanted) const {
        std::uint64_t mask = 0;
        for (unsigned i = 0; i < window_pages(base); ++i) {
            const page_state state = core_.table[base + i].state();
            if (state == page_state::resident || state == page_state::poisoned ||
                (state == page_state::untouched && core_.traits.shared))
                mask |= bit(i);
        }
        return mask & ~wanted;
    }

    /// The wanted pages from `start` up to the first page that stays.
    [[nodiscard]] static std::uint64_t run_mask(unsigned start, std::uint64_t wanted,
                                                std::uint64_t stays) {
        const std::uint64_t barrier = stays >> start << start;
        const std::uint64_t below = barrier == 0
                                        ? ~std::uint64_t{0}
                                        : bit(static_cast<unsigned>(std::countr_zero(barrier))) - 1;
        return wanted & below & ~(bit(start) - 1);
    }

    /// One run of the window; returns whether an unread event stopped it.
    bool take_out(cluster& c, unsigned start, std::uint64_t run) {
        const auto last = static_cast<unsigned>(63 - std::countl_zero(run));
        for (unsigned at = start; at <= last;) {
            const kernel_result r =
                core_.os.take_out(c.base + at, last + 1 - at, core_.frames.frame_of(c, at));
            ++core_.counts.evict_ioctls;
            for (unsigned i = at; i < at + r.done; ++i)
                if ((run & bit(i)) != 0)
                    stage(c, i);
            at += r.done;
            if (r.status == kernel_status::ok)
                return false;
            if (r.status == kernel_status::again)
                return true;
            // Busy: pinned by the kernel (pinned_pages). Gone: unmapped without our hearing of it,
            // or the process is exiting. Either way the page stays and the next one is tried.
            UFFDMM_CHECK(r.status != kernel_status::unsupported,
                         "the kernel refused to take pages out");
            if ((run & bit(at)) != 0) {
                ++core_.counts.busy_pages;
                core_.policy->requeue(c.base + at);
            }
            ++at;
        }
        return false;
    }

    void stage(cluster& c, unsigned index) {
        const page_index page = c.base + index;
        page_entry& entry = core_.table[page];
        const bool passing = entry.has(page_flag::passing);
        core_.leaves_residence(page);
        core_.huge.has_single(page);
        entry.apply(page_op::stage);
        entry.set_frame(core_.frames.frame_of(c, index));
        // A ghost is of the guest's making; so is the time that ghosts are measured in.
        if (!passing)
            entry.set_evicted_at(++core_.clock);
        core_.frames.add(c, index);
        ++core_.counts.evicted_pages;
    }

    shard_core<Kernel>& core_;
};

} // namespace uffdmm
