// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Answers page faults. Every message read is answered exactly once: its page is installed,
/// zeroed or poisoned, or it waits in a queue here (for memory, a buffer, or an unread event), or
/// in a load batch. Never waits, allocates, locks or logs; never touches guest memory.
///
///     read ─► events first ─► faults ─┬─ untouched ─► zeros (+ window, or a huge page)
///                                     ├─ staged ────► take back
///                                     ├─ swapped ───► swap_in (+ window)
///                                     ├─ resident ──► unprotect, or wake: somebody was faster
///                                     └─ poisoned ──► poison again
///     parked or starved ─► waiting queue ─► retried in order every step

#include <algorithm>
#include <array>
#include <span>

#include "uffdmm/engine/discarder.hpp"
#include "uffdmm/engine/faulting_threads.hpp"
#include "uffdmm/engine/huge_filler.hpp"
#include "uffdmm/engine/installer.hpp"
#include "uffdmm/engine/one_pass_readers.hpp"
#include "uffdmm/engine/read_ahead.hpp"
#include "uffdmm/engine/shard_core.hpp"
#include "uffdmm/engine/swap_in.hpp"
#include "uffdmm/engine/waiting_faults.hpp"
#include "uffdmm/prefetch/clip_window.hpp"
#include "uffdmm/prefetch/proven.hpp"

namespace uffdmm {

template <kernel Kernel>
class fault_path {
  public:
    fault_path(shard_core<Kernel>& core, installer<Kernel>& install, swap_in<Kernel>& reads,
               read_ahead<Kernel>& ahead, discarder<Kernel>& discards, huge_filler<Kernel>& huge)
        : core_(core), installer_(install), reads_(reads), ahead_(ahead), discards_(discards),
          huge_(huge), waiting_(core.table), readers_(core.pages()) {}

    /// Reads and answers one batch of messages; returns how many there were.
    std::size_t serve() {
        const std::size_t n = core_.os.read(messages_);
        if (n == 0)
            return 0;
        const std::uint64_t now = core_.os.now_ns();
        // fault_before_remove: a fault may be read before the event that precedes it.
        for (std::size_t i = 0; i < n; ++i)
            handle_event(messages_[i]);
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const kernel_message& m = messages_[i];
            if (!is_fault(m) || m.pages.count == 0)
                continue;
            ++core_.counts.faults;
            const std::uint64_t mark = std::uint64_t{1} << m.pages.first.value % 64;
            if ((seen & mark) != 0 && repeated(std::span(messages_.data(), i), m))
                ++core_.counts.duplicate_faults;
            else
                answer(fault_of(m, now));
            seen |= mark;
        }
        return n;
    }

    /// Tries again what could not be answered; returns whether any of it could.
    bool retry_waiting() {
        starving_ = false;
        parked_ = false;
        bool answered = false;
        for (std::size_t n = waiting_.size(); n != 0 && !parked_; --n) {
            const fault f = waiting_.pop();
            if (waits(try_answer(f)))
                waiting_.push(f);
            else
                answered = true;
        }
        if (answered && waiting_.take_overflow())
            (void)core_.os.wake({0}, core_.pages());
        return answered;
    }

    [[nodiscard]] bool has_waiting() const { return !waiting_.empty(); }
    /// Some fault waits for free memory.
    [[nodiscard]] bool starving() const { return starving_; }
    /// Some fault waits for a thread of the embedder to finish a madvise.
    [[nodiscard]] bool parked() const { return parked_; }

    [[nodiscard]] const faulting_threads& threads() const { return threads_; }

    /// Of the latest faults, three in four had to wait for a slow tier.
    [[nodiscard]] bool mostly_slow() const { return slow_share_ > 192; }

    /// Brings one page in as if it had been written to (by the guest), without prefetching.
    install_status bring_in(page_index page) {
        const fault f{page, kernel_message::kind::missing, true, core_.step_ns, true};
        const page_entry& entry = core_.table[page];
        if (entry.state() == page_state::resident)
            return entry.has(page_flag::write_protected) ? unprotect(page) : install_status::done;
        if (entry.state() == page_state::poisoned)
            return install_status::poisoned;
        return entry.has(page_flag::arriving) ? install_status::crowded : bring_in_absent(f);
    }

    /// The same for a page that has to be there, whatever we believe: a page that was installed
    /// while the kernel was discarding it is gone, though nobody told, and one that is about to be
    /// discarded is not to be pinned.
    install_status bring_in_surely(page_index page) {
        const page_entry& entry = core_.table[page];
        const bool believed = entry.state() == page_state::resident;
        if (believed && !entry.has(page_flag::write_protected))
            return fill_if_gone(page);
        const install_status status = bring_in(page);
        const bool there = entry.state() == page_state::resident;
        return status == install_status::done && !there ? install_status::parked : status;
    }

  private:
    static constexpr std::size_t batch = 64;
    static constexpr page_count longest_unprotect = 16;

    [[nodiscard]] static bool is_fault(const kernel_message& m) {
        using k = kernel_message::kind;
        return m.what == k::missing || m.what == k::protect || m.what == k::minor;
    }
    /// Whether an earlier message of the batch has woken the sender of this one already.
    [[nodiscard]] static bool repeated(std::span<const kernel_message> before,
                                       const kernel_message& m) {
        return std::any_of(before.begin(), before.end(), [&](const kernel_message& b) {
            return b.what == m.what && b.pages == m.pages && b.write == m.write;
        });
    }

    [[nodiscard]] fault fault_of(const kernel_message& m, std::uint64_t now) {
        const bool write = m.write || m.what == kernel_message::kind::protect;
        threads_.saw(m.thread, now);
        const auto [one_pass, passed] = readers_.saw(m.thread, m.pages.first, write);
        if (one_pass) {
            ++core_.counts.one_pass_faults;
            core_.one_pass_ns = now;
            core_.passed.add(passed);
        }
        return {m.pages.first, m.what, m.write, now, false, one_pass};
    }

    void handle_event(const kernel_message& m) {
        if (m.what == kernel_message::kind::remove || m.what == kernel_message::kind::unmap) {
            discards_.split_around(m.pages);
            discards_.forget(m.pages);
        } else if (m.what == kernel_message::kind::other)
            ++core_.counts.unexpected_messages;
    }

    void answer(const fault& f) {
        // What answers the first fault on a page wakes everybody who waits for it.
        if (core_.table[f.page].has(page_flag::waiting)) {
            ++core_.counts.duplicate_faults;
            return;
        }
        const install_status status = try_answer(f);
        if (status == install_status::pending)
            core_.slow_fault_ns = core_.step_ns;
        slow_share_ += ((status == install_status::pending ? 256 : 0) - slow_share_) / 16;
        if (!waits(status))
            return;
        core_.counts.direct_reclaims += status == install_status::starved ? 1 : 0;
        waiting_.push(f);
    }

    install_status try_answer(const fault& f) {
        const install_status status = resolve(f);
        if (status == install_status::parked) {
            ++core_.counts.eagain_retries;
            parked_ = true;
        }
        if (status == install_status::starved)
            starving_ = true;
        return status;
    }
    /// Whether the fault has to wait here.
    [[nodiscard]] static bool waits(install_status status) {
        return status == install_status::parked || status == install_status::starved ||
               status == install_status::crowded;
    }

    install_status resolve(const fault& f) {
        switch (core_.table[f.page].state()) {
        case page_state::resident:
            return resolve_resident(f);
        case page_state::poisoned:
            return poison_again(f);
        default:
            break;
        }
        if (core_.table[f.page].has(page_flag::arriving)) {
            core_.awaited.store(f.page.value, std::memory_order_relaxed);
            return install_status::crowded; // not for long, and then it is there
        }
        if (f.what == kernel_message::kind::minor)
            return resolve_foreign(f);
        return bring_in_absent(f);
    }

    // ---- absent pages ---------------------------------------------------------------------------

    install_status bring_in_absent(const fault& f) {
        // A write-protect fault on a page that has left since is answered like a missing one: the
        // installation wakes whoever waits for the page, whatever for.
        const bool write = f.write || f.what == kernel_message::kind::protect;
        page_entry& entry = core_.table[f.page];
        if (f.one_pass)
            entry.set(page_flag::passing);
        else
            entry.clear(page_flag::passing);
        if (entry.state() == page_state::staged) {
            const install_status status = installer_.take_back(f.page, write);
            if (status == install_status::done)
                core_.record(resolution::staged, f.asked_ns);
            return status;
        }
        const bool on_its_way = entry.has(page_flag::loading) || ahead_.covers(f.page);
        const prefetch_window window =
            f.waited || on_its_way ? prefetch_window{} : ask_prefetcher(f.page);
        if (f.one_pass)
            mark_passing(window);
        return entry.state() == page_state::untouched ? zero_fill(f, write, window)
                                                      : swap_page_in(f, write, window);
    }

    /// The run of pages the window makes with `page`, or the page alone.
    [[nodiscard]] static page_run run_with(page_index page, const prefetch_window& window) {
        const bool ahead = window.stride == 1 && window.first == page + 1;
        return {page, ahead ? std::min(window.count + 1, max_run) : 1};
    }
    /// What is left of the window behind that run.
    [[nodiscard]] static prefetch_window rest_of(page_index page, prefetch_window window) {
        const page_count taken = run_with(page, window).count - 1;
        window.first = window.first + taken;
        window.count -= taken;
        return window;
    }

    /// What comes in ahead of a one-pass reader is for it alone, unless it was in memory anyway.
    void mark_passing(const prefetch_window& window) {
        // Page by page by MOVE would cost a TLB flush for each.
        if (window.stride != 1 && !core_.traits.may_discard())
            return;
        for (page_count i = 0; i < window.count; ++i) {
            page_entry& entry = core_.table[page_index{
                static_cast<std::uint32_t>(window.first.value + std::int64_t{window.stride} * i)}];
            if (entry.state() != page_state::resident && entry.state() != page_state::staged)
                entry.set(page_flag::passing);
        }
    }

    prefetch_window ask_prefetcher(page_index page) {
        page_count hits = 0;
        const prefetch_window window = core_.prefetch->on_fault(page, hits);
        if (hits != 0)
            core_.counts.prefetch_hits += clear_proven(core_.table, page, window, hits);
        return clipped(window, core_.pages());
    }

    install_status zero_fill(const fault& f, bool write, const prefetch_window& window) {
        if (const auto status = f.one_pass ? std::nullopt : huge_.fill(f.page)) {
            if (*status == install_status::done)
                core_.record(resolution::zero, f.asked_ns);
            return *status;
        }
        if (!core_.try_charge())
            return install_status::starved;
        page_run run = run_with(f.page, window);
        page_count n = 1;
        while (n < run.count && fillable(run.first + n))
            ++n;
        while (n > 1 && !core_.try_charge(n - 1, installer_.prefetch_reserve()))
            n = n / 2;
        const auto r = installer_.zeros(f.page, n, first_demanded, write);
        if (r.done == 0)
            return r.status;
        core_.record(resolution::zero, f.asked_ns);
        if (window.stride != 1)
            ahead_.now(window);
        return install_status::done;
    }

    /// Whether a neighbour's fault may fill the page with zeros.
    [[nodiscard]] bool fillable(page_index page) const {
        return core_.fillable(page) && !core_.huge.reserves(page);
    }

    install_status swap_page_in(const fault& f, bool write, const prefetch_window& window) {
        const resolution kind = reads_.kind_of(core_.table[f.page]);
        const prefetch_window rest = rest_of(f.page, window);
        // One message for the whole window: woken first, the thread would run into the next page
        // of it while that is on its way.
        if (kind != resolution::slow_tier && window.stride != 1)
            ahead_.now(rest);
        const auto status = reads_.fault(run_with(f.page, window), write, f.asked_ns);
        if (status == install_status::done)
            core_.record(kind, f.asked_ns);
        else if (status == install_status::poisoned)
            core_.record(resolution::poisoned, f.asked_ns);
        else if (status == install_status::pending)
            ahead_.add(rest);
        return status;
    }

    // ---- present pages --------------------------------------------------------------------------

    install_status resolve_resident(const fault& f) {
        page_entry& entry = core_.table[f.page];
        if (entry.has(page_flag::prefetched)) {
            entry.clear(page_flag::prefetched);
            ++core_.counts.prefetch_hits;
        }
        switch (f.what) {
        case kernel_message::kind::protect:
            return counted(unprotect(f.page), resolution::unprotect, f);
        case kernel_message::kind::minor:
            return counted(map_again(f), resolution::minor, f);
        default:
            return counted(fill_if_gone(f.page), resolution::present, f);
        }
    }
    install_status counted(install_status status, resolution kind, const fault& f) {
        if (status == install_status::done)
            core_.record(kind, f.asked_ns);
        return status;
    }

    /// First write to a clean page: its slot is stale from now on. Writes that go on where the last
    /// ones ended unprotect ahead, a growing run at a time.
    install_status unprotect(page_index page) {
        unprotect_run_ =
            page == unprotect_end_ ? std::min(unprotect_run_ * 2, longest_unprotect) : 1;
        page_count n = 1;
        while (n < unprotect_run_ && page.value + n < core_.pages() && is_clean(page + n))
            ++n;
        const kernel_result r = core_.os.write_protect(page, n, false);
        // Only after the kernel's word: until then the slot may be the only use of the page.
        for (page_count i = 0; i < r.done; ++i)
            made_dirty(page + i);
        unprotect_end_ = page + r.done;
        core_.table[page].set(page_flag::write_prone);
        core_.writes_ahead.was_written();
        if (r.done != 0)
            return install_status::done;
        return not_done(r.status);
    }
    /// For an operation that is right whenever it gets through.
    [[nodiscard]] static install_status not_done(kernel_status status) {
        return status == kernel_status::gone ? install_status::gone : install_status::parked;
    }
    [[nodiscard]] bool is_clean(page_index page) const {
        const page_entry& entry = core_.table[page];
        return entry.state() == page_state::resident && entry.has(page_flag::write_protected);
    }
    void made_dirty(page_index page) {
        page_entry& entry = core_.table[page];
        entry.clear(page_flag::write_protected);
        core_.forget_slot(entry);
    }

    /// A missing fault on a page that is there: somebody installed it meanwhile, or its contents
    /// were discarded between our reading the event and the kernel's acting on it.
    install_status fill_if_gone(page_index page) {
        const kernel_result r = core_.os.zero_in(page, 1);
        if (r.done == 1) {
            made_dirty(page);
            discards_.split_around({page, 1});
        } else if (r.status == kernel_status::exists)
            (void)core_.os.wake(page, 1);
        else
            return not_done(r.status);
        return install_status::done;
    }

    /// shmem: the page is in the page cache and only its mapping is gone.
    install_status map_again(const fault& f) {
        page_entry& entry = core_.table[f.page];
        const bool clean = entry.has(page_flag::write_protected) && !f.write;
        const kernel_result r = core_.os.continue_in(f.page, 1, clean);
        if (r.done == 1) {
            if (!clean)
                made_dirty(f.page);
            return install_status::done;
        }
        // Mapped meanwhile, or gone from the page cache: the thread looks, and faults, anew.
        if (r.status == kernel_status::exists || r.status == kernel_status::missing) {
            (void)core_.os.wake(f.page, 1);
            return install_status::done;
        }
        return not_done(r.status);
    }

    /// shmem: a page is in the page cache though we hold no resident page there. Untouched: it came
    /// with the file or through another mapping, and is the truth. Staged or swapped: something
    /// read or wrote the hole through another mapping (second_mapping); our contents win.
    install_status resolve_foreign(const fault& f) {
        const page_entry& entry = core_.table[f.page];
        if (entry.state() != page_state::untouched) {
            return bring_in_absent(f); // the installer throws out what is in its way
        }
        if (!core_.try_charge())
            return install_status::starved;
        const auto r = installer_.mapped(f.page);
        return r.done == 1 ? counted(install_status::done, resolution::minor, f) : r.status;
    }

    install_status poison_again(const fault& f) {
        const kernel_result r = core_.os.poison(f.page, 1);
        if (r.status == kernel_status::again || r.status == kernel_status::busy ||
            r.status == kernel_status::no_memory)
            return install_status::parked;
        (void)core_.os.wake(f.page, 1);
        return counted(install_status::done, resolution::poisoned, f);
    }

    shard_core<Kernel>& core_;
    installer<Kernel>& installer_;
    swap_in<Kernel>& reads_;
    read_ahead<Kernel>& ahead_;
    discarder<Kernel>& discards_;
    huge_filler<Kernel>& huge_;
    waiting_faults waiting_;
    one_pass_readers readers_;
    faulting_threads threads_;
    std::array<kernel_message, batch> messages_; ///< of serve(), here to be initialised once
    int slow_share_ = 0; ///< of 256, moving average over about sixteen faults
    bool starving_ = false;
    bool parked_ = false;
    page_index unprotect_end_ = no_page;
    page_count unprotect_run_ = 1;
};

} // namespace uffdmm
