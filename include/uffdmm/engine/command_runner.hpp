// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Carries out commands in slices of at most 64 pages, so that faults are answered in between.

#include <bit>

#include "uffdmm/engine/arrivals.hpp"
#include "uffdmm/engine/command.hpp"
#include "uffdmm/engine/discarder.hpp"
#include "uffdmm/engine/evictor.hpp"
#include "uffdmm/engine/fault_path.hpp"
#include "uffdmm/engine/peeker.hpp"
#include "uffdmm/engine/pin_table.hpp"
#include "uffdmm/engine/reclaim.hpp"
#include "uffdmm/engine/shard_core.hpp"
#include "uffdmm/engine/swap_in.hpp"
#include "uffdmm/engine/swap_out.hpp"

namespace uffdmm {

template <kernel Kernel>
class command_runner {
  public:
    command_runner(shard_core<Kernel>& core, installer<Kernel>& install, fault_path<Kernel>& faults,
                   swap_in<Kernel>& reads, swap_out<Kernel>& writes, evictor<Kernel>& evicts,
                   reclaimer<Kernel>& reclaim, discarder<Kernel>& discards, peeker<Kernel>& looks)
        : core_(core), faults_(faults), reads_(reads), writes_(writes), evictor_(evicts),
          reclaim_(reclaim), discards_(discards), looks_(looks),
          arrivals_(core, install, writes, discards), pins_(core.pages()) {}

    [[nodiscard]] command_queue& queue() { return queue_; }
    [[nodiscard]] bool idle() const { return queue_.front() == nullptr; }
    /// The last command was `stop`, and it is done.
    [[nodiscard]] bool stopped() const { return stopped_; }
    /// Everything is being brought in: reclaim would undo it.
    [[nodiscard]] bool restoring() const { return restoring_; }
    /// The last command tried could not go on for lack of memory.
    [[nodiscard]] bool starving() const { return starving_; }

    /// One slice of the first command. Returns whether anything got further.
    bool step(bool starving_on_tiers) {
        starving_ = false;
        command* c = queue_.front();
        if (c == nullptr)
            return false;
        stuck_ = starving_on_tiers;
        const page_index before = c->at;
        const unsigned phase_before = c->phase;
        const unsigned tries_before = c->tries;
        const outcome how = run(*c);
        if (how.finished) {
            queue_.pop();
            c->finish(how.what);
            return true;
        }
        queue_.rotate();
        return c->at != before || c->phase != phase_before || c->tries != tries_before;
    }

  private:
    static constexpr page_count slice = cluster_pages;

    struct outcome {
        bool finished = true;
        result<void> what;
    };
    static outcome unfinished() { return {false, {}}; }
    static outcome failed(errc code, const char* operation) {
        return {true, error{code, 0, operation}};
    }

    outcome run(command& c) {
        switch (c.what) {
        case command::kind::barrier:
            return {};
        case command::kind::check_pins:
            return check_pins(c);
        case command::kind::discard:
            return discard(c);
        case command::kind::pin:
            return pin(c);
        case command::kind::unpin:
            return unpin(c);
        case command::kind::query:
            return query(c);
        case command::kind::peek:
            return {looks_.step(c), {}};
        case command::kind::unwatch:
            core_.watch.end();
            return {};
        case command::kind::arrive:
            return arrive(c);
        case command::kind::expect:
            return expect(c);
        case command::kind::unexpect:
            return unexpect(c);
        case command::kind::end_leases:
            for (tier_number tier = 1; tier <= core_.chain.last(); ++tier)
                core_.chain.at(tier).end_leases();
            return {};
        case command::kind::prefetch:
            return prefetch(c);
        case command::kind::evict:
            return evict(c);
        case command::kind::restore:
            return restore(c);
        case command::kind::idle:
            return wait_idle(c);
        case command::kind::settle:
            return settle(c);
        case command::kind::stop:
            return stop();
        }
        return {};
    }

    [[nodiscard]] static page_run next_slice(const command& c) {
        return {c.at, std::min<page_count>(slice, c.run.end() - c.at)};
    }

    outcome check_pins(command& c) {
        if (pins_.in_use())
            for (page_index page = c.run.first; page < c.run.end(); page = page + 1)
                if (pins_.count(page) != 0)
                    return failed(errc::busy, "discard of a pinned page");
        return {};
    }

    /// A huge page is discarded at once: in slices it would leave a page table behind.
    [[nodiscard]] page_run next_discard(const command& c) const {
        const page_run run = next_slice(c);
        if (core_.traits.huge_page == 0)
            return run;
        const page_run block = core_.huge.around(c.at);
        const page_run rest{c.at, std::min(block.end(), c.run.end()) - c.at};
        return rest == block && core_.huge.can_be_huge(block) ? block : within(run, rest);
    }
    [[nodiscard]] static page_run within(page_run run, page_run other) {
        return {run.first, std::min(run.count, other.count)};
    }

    outcome discard(command& c) {
        if (c.at == c.run.first)
            if (const outcome pinned = check_pins(c); !pinned.what.ok())
                return pinned;
        if (c.at == c.run.first)
            discards_.split_around(c.run);
        const page_run run = next_discard(c);
        if (!unpoison(run))
            return unfinished();
        const kernel_result r = core_.os.discard(run.first, run.count);
        discards_.forget({run.first, r.done});
        c.at = run.first + r.done;
        if (r.status == kernel_status::again || r.status == kernel_status::busy)
            return unfinished();
        if (r.status != kernel_status::ok)
            return {true, error{errc::system, r.os_errno, "discarding guest pages"}};
        return {c.at == c.run.end(), {}};
    }

    /// shmem: the poison marker outlives the page that is punched out (seen on Linux 6.18). A page
    /// mapped over it takes its place, and goes with the rest.
    [[nodiscard]] bool unpoison(page_run run) {
        if (!core_.traits.shared || core_.counts.poisoned_pages.load() == 0)
            return true;
        for (page_index page = run.first; page < run.end(); page = page + 1) {
            if (core_.table[page].state() != page_state::poisoned)
                continue;
            // Another mapping may have put a page there, which would be in the way.
            if (core_.os.discard(page, 1).done == 0 || core_.os.zero_in(page, 1).done == 0)
                return false;
        }
        return true;
    }

    // ---- pinning --------------------------------------------------------------------------------

    outcome pin(command& c) {
        if (c.at == c.run.first && c.phase == 0) {
            if (const outcome allowed = may_pin(c); !allowed.what.ok())
                return allowed;
            c.phase = 1;
        }
        const page_run run = next_slice(c);
        for (; c.at < run.end(); c.at = c.at + 1) {
            page_entry& entry = core_.table[c.at];
            entry.set(page_flag::pinned);
            const install_status status = faults_.bring_in_surely(c.at);
            if (status == install_status::done)
                take_pin(c.at);
            else if (status == install_status::poisoned || status == install_status::gone ||
                     (status == install_status::starved && stuck_))
                return undo_pin(c, status);
            else {
                starving_ = status == install_status::starved;
                return unfinished();
            }
        }
        return {c.at == c.run.end(), {}};
    }
    /// Whether all of the run can be pinned: pinned memory must leave room to work in.
    outcome may_pin(const command& c) {
        try {
            if (!pins_.in_use()) {
                pins_.prepare();
                core_.money.charge(pins_.memory_bytes());
                core_.counts.metadata_bytes += pins_.memory_bytes();
            }
        } catch (const setup_error&) {
            return failed(errc::no_memory, "pin: no memory for the pin counts");
        }
        page_count more = 0;
        for (page_index page = c.run.first; page < c.run.end(); page = page + 1) {
            if (pins_.count(page) == pin_table::most())
                return failed(errc::busy, "pin: pinned 65535 times already");
            more += pins_.count(page) == 0 ? 1 : 0;
        }
        const std::int64_t share = core_.money.fair_share();
        const auto pinned = static_cast<std::int64_t>(
            bytes_of(static_cast<page_count>(core_.counts.pinned_pages.load()) + more));
        const auto metadata = static_cast<std::int64_t>(core_.counts.metadata_bytes.load());
        if (pinned + metadata > share - share / 8)
            return failed(errc::limit_too_small, "pin: more than the limit can hold");
        return {};
    }
    void take_pin(page_index page) {
        if (pins_.add(page))
            ++core_.counts.pinned_pages;
    }
    void drop_pin(page_index page) {
        if (pins_.remove(page)) {
            core_.table[page].clear(page_flag::pinned);
            --core_.counts.pinned_pages;
        }
    }
    outcome undo_pin(command& c, install_status why) {
        if (pins_.count(c.at) == 0)
            core_.table[c.at].clear(page_flag::pinned);
        for (page_index page = c.run.first; page < c.at; page = page + 1)
            drop_pin(page);
        switch (why) {
        case install_status::poisoned:
            return failed(errc::poisoned, "pin: contents are lost");
        case install_status::starved:
            return failed(errc::limit_too_small, "pin: nothing can leave memory to make room");
        default:
            return failed(errc::not_found, "pin: the range is unmapped");
        }
    }

    outcome unpin(command& c) {
        for (page_index page = c.run.first; page < c.run.end(); page = page + 1)
            if (pins_.count(page) == 0)
                return failed(errc::wrong_state, "unpin: a page of the range is not pinned");
        for (page_index page = c.run.first; page < c.run.end(); page = page + 1)
            drop_pin(page);
        return {};
    }

    // ---- looking --------------------------------------------------------------------------------

    outcome query(command& c) {
        const page_run run = next_slice(c);
        for (; c.at < run.end(); c.at = c.at + 1) {
            const page_entry& entry = core_.table[c.at];
            const auto state = static_cast<residency>(entry.state());
            const tier_number tier = state == residency::swapped ? entry.tier() : tier_number{0};
            if (c.answers != 0) {
                auto& last = c.answer[c.answers - 1];
                if (last.state == state && last.tier == tier) {
                    ++last.pages.count;
                    continue;
                }
            }
            if (c.answers == c.answer.size())
                return {};
            c.answer[c.answers++] = {{c.at, 1}, state, tier};
        }
        return {c.at == c.run.end(), {}};
    }

    // ---- arriving -------------------------------------------------------------------------------

    outcome arrive(command& c) {
        using progress = typename arrivals<Kernel>::progress;
        const progress p = arrivals_.step(c, stuck_ || stopping_);
        starving_ = p.starving;
        return {p.finished, p.what};
    }

    outcome expect(command& c) {
        if (!core_.used && c.run.count == core_.pages()) {
            core_.used = true;
            core_.table.all_arrive();
            return {true, {}};
        }
        const page_run run{c.at, std::min<page_count>(16 * slice, c.run.end() - c.at)};
        for (; c.at < run.end(); c.at = c.at + 1) {
            page_entry& entry = core_.table[c.at];
            const bool free = entry.state() == page_state::untouched;
            if (free && !entry.has(page_flag::arriving)) {
                entry.expect_contents();
                continue;
            }
            for (page_index page = c.run.first; page < c.at; page = page + 1)
                core_.table[page].clear(page_flag::arriving);
            return failed(errc::wrong_state, "restore: a page of the region is not untouched");
        }
        return {c.at == c.run.end(), {}};
    }

    outcome unexpect(command& c) {
        const page_run run{c.at, std::min<page_count>(16 * slice, c.run.end() - c.at)};
        for (; c.at < run.end(); c.at = c.at + 1)
            core_.table[c.at].clear(page_flag::arriving);
        return {c.at == c.run.end(), {}};
    }

    // ---- moving ---------------------------------------------------------------------------------

    outcome prefetch(command& c) {
        const page_run run = next_slice(c);
        while (c.at < run.end()) {
            const page_count done = reads_.prefetch({c.at, run.end() - c.at});
            if (done == 0)
                return {}; // free memory ends here: a hint is a hint
            c.at = c.at + done;
        }
        return {c.at == c.run.end(), {}};
    }

    /// Phases, each of which walks the run: out of the guest · out of the frames · wait for the
    /// writes, and see what stayed.
    outcome evict(command& c) {
        switch (c.phase) {
        case 0:
            return take_out_window(c);
        case 1:
            return drain_slice(c);
        default:
            return wait_for_slice(c);
        }
    }
    outcome take_out_window(command& c) {
        const page_index window_end = evictor_.window_of(c.at) + cluster_pages;
        const page_run run{c.at, std::min(window_end, c.run.end()) - c.at};
        if (c.counted != run.end())
            c.pages += in_memory(run);
        c.counted = run.end();
        const evict_status how = evictor_.evict_run(run);
        if (how == evict_status::parked)
            return unfinished();
        if (how == evict_status::no_room) {
            const bool offered = writes_.drain_oldest();
            (void)reclaim_.release(true);
            c.tries += offered || writes_.in_flight() == 0 ? 1 : 0;
            if (c.tries <= core_.frames.living() + 1) // not every cluster was offered in vain yet
                return unfinished();
        }
        c.tries = 0;
        return go_on(c, run.end());
    }
    outcome drain_slice(command& c) {
        const page_run run = next_slice(c);
        for (page_index page = run.first; page < run.end(); page = page + 1) {
            const page_entry& entry = core_.table[page];
            if (entry.state() != page_state::staged || entry.has(page_flag::storing))
                continue;
            if (!writes_.has_room_for(cluster_pages)) { // it is drained once
                c.at = page;
                return unfinished();
            }
            writes_.drain_holder(entry.frame());
        }
        return go_on(c, run.end());
    }
    outcome wait_for_slice(command& c) {
        const page_run run = next_slice(c);
        for (page_index page = run.first; page < run.end(); page = page + 1) {
            if (core_.table[page].has(page_flag::storing)) {
                c.at = page;
                return unfinished();
            }
            c.pages -= std::min(c.pages, in_memory({page, 1}));
        }
        c.at = run.end();
        if (c.at != c.run.end())
            return unfinished();
        (void)reclaim_.tidy();
        return {};
    }
    /// The next slice, or the next phase.
    static outcome go_on(command& c, page_index to) {
        c.at = to;
        if (c.at == c.run.end()) {
            c.at = c.run.first;
            ++c.phase;
        }
        return unfinished();
    }
    [[nodiscard]] page_count in_memory(page_run run) const {
        page_count n = 0;
        for (page_index page = run.first; page < run.end(); page = page + 1) {
            const page_state state = core_.table[page].state();
            n += state == page_state::resident || state == page_state::staged ? 1 : 0;
        }
        return n;
    }

    /// Brings every page in, writable, whatever the limit says: the caller has compared.
    outcome restore(command& c) {
        restoring_ = true;
        reclaim_.stop_reserving();
        core_.may_exceed = true;
        const page_run run = next_slice(c);
        for (; c.at < run.end(); c.at = c.at + 1) {
            const page_entry& entry = core_.table[c.at];
            if (entry.state() == page_state::untouched || entry.state() == page_state::poisoned)
                continue;
            if (entry.state() == page_state::swapped && !entry.has(page_flag::loading))
                (void)reads_.prefetch({c.at, run.end() - c.at});
            const install_status status = faults_.bring_in(c.at);
            if (status != install_status::done && status != install_status::poisoned &&
                status != install_status::gone)
                return unfinished();
        }
        return {c.at == c.run.end(), {}};
    }

    // ---- waiting --------------------------------------------------------------------------------

    [[nodiscard]] bool quiet() const {
        return !faults_.has_waiting() && reads_.in_flight() == 0 && writes_.in_flight() == 0;
    }
    outcome wait_idle(command& c) {
        const bool resting = !reclaim_.active() || stuck_;
        if (quiet() && resting && core_.frames.dead() == 0)
            return {};
        if (core_.os.now_ns() >= c.deadline_ns)
            return failed(errc::busy, "wait_until_idle: timed out");
        return unfinished();
    }
    outcome settle(command& c) {
        (void)reclaim_.tidy();
        // Below its share it has done its part: others are asked, too.
        if (core_.money.available() >= 0 || !core_.money.over_share())
            return {};
        if (stuck_ && writes_.in_flight() == 0 && ++c.phase > 64)
            return failed(errc::limit_too_small, "set_limit: memory cannot be brought below it");
        return unfinished();
    }
    outcome stop() {
        restoring_ = true; // nothing new is started
        stopping_ = true;
        if (reads_.in_flight() != 0 || writes_.in_flight() != 0 || looks_.in_flight() != 0)
            return unfinished();
        // Somebody will wait for these, maybe later.
        if (queue_.has(command::kind::peek) || queue_.has(command::kind::arrive))
            return unfinished();
        stopped_ = true;
        return {};
    }

    shard_core<Kernel>& core_;
    fault_path<Kernel>& faults_;
    swap_in<Kernel>& reads_;
    swap_out<Kernel>& writes_;
    evictor<Kernel>& evictor_;
    reclaimer<Kernel>& reclaim_;
    discarder<Kernel>& discards_;
    peeker<Kernel>& looks_;
    arrivals<Kernel> arrivals_;
    pin_table pins_;
    command_queue queue_;
    bool stuck_ = false;
    bool starving_ = false;
    bool stopped_ = false;
    bool restoring_ = false;
    bool stopping_ = false; ///< what waits for memory gives up
};

} // namespace uffdmm
