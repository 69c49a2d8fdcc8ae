// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// From the tiers into the guest. Same-filled pages and synchronous tiers are read on the spot, a
/// chunk at a time, the demanded page first. Slow tiers are read in batches: the entry is `loading`
/// and other faults are served meanwhile.
///
/// A read that fails is repeated with back-off for read_retry_ns while somebody waits, then the
/// page is poisoned; a corrupt slot poisons at once. Prefetched pages are simply left where they
/// are.

#include <algorithm>
#include <utility>

#include "uffdmm/engine/buffer_pool.hpp"
#include "uffdmm/engine/installer.hpp"
#include "uffdmm/engine/load_batch.hpp"
#include "uffdmm/engine/same_filled.hpp"
#include "uffdmm/engine/shard_core.hpp"

namespace uffdmm {

template <kernel Kernel>
class swap_in {
  public:
    swap_in(shard_core<Kernel>& core, installer<Kernel>& install, buffer_pool& buffers,
            tier_client& client, std::uint32_t batches)
        : core_(core), installer_(install), buffers_(buffers), client_(client), batches_(batches),
          most_away_(batches / 2), scratch_(mapping::anonymous(chunk_pages * page_size)) {}

    [[nodiscard]] byte_count memory_bytes() const {
        return batches_.memory_bytes() + scratch_.size();
    }
    /// Reads under way.
    [[nodiscard]] std::size_t in_flight() const { return batches_.in_use(); }

    /// Pages charged for reads under way, abandoned ones included.
    [[nodiscard]] page_count charged_pages() const {
        page_count n = 0;
        batches_.for_each_in_use([&](const load_batch& batch) { n += batch.open; });
        return n;
    }

    /// The same, without a walk.
    [[nodiscard]] page_count reading() const { return reading_; }

    /// How a fault on the swapped page will be resolved, for the statistics.
    [[nodiscard]] resolution kind_of(const page_entry& entry) const {
        if (entry.tier() == same_filled_tier)
            return resolution::same_filled;
        return in_place(entry) ? resolution::memory_tier : resolution::slow_tier;
    }

    /// Somebody waits for the swapped page `run.first`; the rest of `run` is prefetched as far as
    /// it is swapped, close by, and memory allows. `asked_ns`: when the fault was read.
    install_status fault(page_run run, bool write, std::uint64_t asked_ns) {
        page_entry& entry = core_.table[run.first];
        if (entry.has(page_flag::loading)) {
            join(entry, run.first, write, asked_ns);
            prefetch_rest(run);
            return install_status::pending;
        }
        if (!core_.try_charge())
            return install_status::starved;
        if (!in_place(entry))
            return read(run, true, write, asked_ns);
        const auto r = load_in_place(run, first_demanded, write);
        if (r.status != install_status::pending)
            return r.status;
        // The tier could not read the page: try again in the background.
        if (!core_.try_charge())
            return install_status::starved;
        return read({run.first, 1}, true, write, asked_ns);
    }

    /// Brings in the swapped pages at the start of `run` (at least one is swapped) without anybody
    /// waiting; returns how many were taken care of, 0 if there is no memory for more.
    page_count prefetch(page_run run) {
        page_entry& entry = core_.table[run.first];
        if (entry.state() != page_state::swapped || entry.has(page_flag::loading) ||
            core_.chain.is_away(entry.tier()))
            return 1;
        if (!core_.try_charge(1, installer_.prefetch_reserve()))
            return 0;
        if (in_place(entry))
            return std::max<page_count>(load_in_place(run, none_demanded, false).done, 1);
        const page_count before = pages_started_;
        return read(run, false, false, 0) == install_status::pending ? pages_started_ - before : 0;
    }

    /// The window behind a page that is on its way already: its first pages mostly are, too.
    void prefetch_rest(page_run run) {
        for (page_index at = run.first + 1; at < run.end();) {
            const page_count n = prefetch({at, run.end() - at});
            if (n == 0)
                return;
            at = at + n;
        }
    }

    /// The page is being discarded while it is read: its slot is freed when the read ends.
    void abandon(page_index page) {
        page_entry& entry = core_.table[page];
        load_op& op = batches_[entry.frame().value].op_of(page);
        op.abandoned = true;
        entry.clear(page_flag::loading);
        entry.clear_slot();
        if (op.wanted)
            (void)core_.os.wake(page, 1);
        if (op.at == load_op::phase::retrying)
            make_ready(batches_[op.batch]);
    }

    /// From tier_client::load_done.
    void load_done(load_request& request) {
        auto& op = static_cast<load_op&>(request);
        op.at = load_op::phase::arrived;
        make_ready(batches_[op.batch]);
    }

    /// Installs what has arrived and repeats what is due. Returns whether anything was done.
    bool service() {
        if (backing_off_ != 0)
            batches_.for_each_in_use([&](load_batch& batch) {
                if (batch.retry_at != 0 && batch.retry_at <= core_.step_ns)
                    retry(batch);
            });
        load_batch* batch = ready_;
        ready_ = nullptr;
        bool worked = false;
        while (batch != nullptr) {
            load_batch* next = batch->next;
            batch->next = nullptr;
            batch->ready = false;
            worked |= settle(*batch);
            batch = next;
        }
        return worked;
    }

    /// Whether service() has something to do now: an unread event stopped it.
    [[nodiscard]] bool has_ready() const { return ready_ != nullptr; }
    [[nodiscard]] bool backing_off() const { return backing_off_ != 0; }

  private:
    using phase = load_op::phase;
    /// Pages read before the first COPY: more would make the faulting thread wait for its
    /// neighbours, fewer would pay the ioctl's fixed cost too often (FACTS.md).
    static constexpr page_count chunk_pages = 16;
    static constexpr std::uint64_t first_backoff_ns = 1'000'000;
    static constexpr std::uint64_t last_backoff_ns = 100'000'000;

    [[nodiscard]] bool in_place(const page_entry& entry) const {
        return entry.tier() == same_filled_tier ||
               std::as_const(core_.chain).at(entry.tier()).traits().synchronous_load;
    }
    /// Whether a page keeps its slot while it is resident. Where the slot itself costs memory only
    /// pages of a window do: a stream that is read leaves as it came, and compressing it again
    /// would cost more than reading it. A nearly full tier has no room for copies.
    [[nodiscard]] bool retained(tier_number tier, bool in_window) const {
        if (tier == same_filled_tier)
            return false;
        if (!std::as_const(core_.chain).at(tier).traits().counts_in_limit)
            return true;
        const tier_counters& now = std::as_const(core_.chain).counters(tier);
        const byte_count capacity = now.capacity_bytes.load();
        return in_window && now.occupied_bytes.load() < capacity - capacity / 4;
    }
    [[nodiscard]] bool stays_clean(page_entry& entry, bool write, bool in_window) {
        const bool streamed = in_window || entry.has(page_flag::passing);
        return !write && retained(entry.tier(), streamed) && core_.writes_ahead.stays_clean(entry);
    }

    struct load_kind {
        bool write = false;
        bool in_window = false; ///< a neighbour comes in with it
    };

    // ---- read on the spot -----------------------------------------------------------------------

    /// The first page is charged. `pending`: the tier failed to read the first page, and it is
    /// uncharged again.
    install_result load_in_place(page_run run, demand_mask demanded, bool write) {
        page_count done = 0;
        while (done < run.count) {
            const page_run rest{run.first + done, std::min(run.count - done, chunk_pages)};
            bool clean = false;
            const auto [loaded, why] = load_chunk(
                rest, {write, run.count > 1 || demanded == none_demanded}, done == 0, clean);
            if (loaded == 0)
                return {done, done == 0 ? why : install_status::done};
            const auto r =
                installer_.copies({rest.first, loaded}, scratch_.data(), page_op::install,
                                  done == 0 ? demanded : none_demanded, clean);
            done += r.done;
            if (r.status != install_status::done)
                return {done, done == 0 ? r.status : install_status::done};
            if (loaded < rest.count)
                break;
        }
        return {done, install_status::done};
    }

    /// Reads pages of `run` into the scratch buffer up to the first that cannot be had on the spot,
    /// charging all but an already charged first one.
    install_result load_chunk(page_run run, load_kind kind, bool first_charged, bool& clean) {
        page_count n = 0;
        for (; n < run.count; ++n) {
            const page_index page = run.first + n;
            page_entry& entry = core_.table[page];
            if (entry.state() != page_state::swapped || entry.has(page_flag::loading) ||
                !in_place(entry))
                break;
            const bool this_clean = stays_clean(entry, kind.write, kind.in_window);
            if (n == 0)
                clean = this_clean;
            else if (clean != this_clean)
                break;
            const bool charged = n == 0 && first_charged;
            if (!charged && !core_.try_charge(1, installer_.prefetch_reserve()))
                break;
            const tier_status status = read_now(entry, scratch_.data() + n * page_size);
            if (status == tier_status::ok)
                continue;
            core_.uncharge(1);
            if (status != tier_status::corrupt || !charged)
                return {n, install_status::pending};
            const install_status how = poison(page);
            if (how == install_status::done)
                core_.money.charge(page_size);
            return {0, how};
        }
        return {n, install_status::done};
    }

    tier_status read_now(const page_entry& entry, std::byte* destination) {
        if (entry.tier() == same_filled_tier) {
            fill_with_pattern(destination, entry.fill_pattern());
            ++core_.counts.same_filled_reads;
            return tier_status::ok;
        }
        load_request request;
        request.slot = entry.slot();
        request.destination = destination;
        load_request* const list[] = {&request};
        in_place_loads ended_in_call;
        core_.chain.at(entry.tier()).load(list, ended_in_call);
        count(entry.tier(), request.status);
        return request.status;
    }

    void count(tier_number tier, tier_status status) {
        tier_counters& counts = core_.chain.counters(tier);
        if (status == tier_status::ok)
            ++counts.reads;
        else if (status == tier_status::corrupt)
            ++counts.corrupt;
        else
            ++counts.read_errors;
    }

    // ---- read in the background -----------------------------------------------------------------

    void join(const page_entry& entry, page_index page, bool write, std::uint64_t asked_ns) {
        load_op& op = batches_[entry.frame().value].op_of(page);
        if (!op.wanted)
            op.asked_ns = asked_ns;
        op.wanted = true;
        op.to_write |= write;
    }

    /// Starts a batch; its first page is charged.
    install_status read(page_run run, bool wanted, bool write, std::uint64_t asked_ns) {
        const bool away = core_.chain.is_away(core_.table[run.first].tier());
        // What waits for a tier that is away must leave batches for the others.
        load_batch* batch = away && batches_.in_use() >= most_away_ ? nullptr : batches_.take();
        page_count n = batch == nullptr ? 0 : away ? 1 : charge_neighbours(run);
        std::byte* buffer = nullptr;
        while (n != 0 && (buffer = buffers_.take(n)) == nullptr) {
            core_.uncharge(n - n / 2);
            n /= 2;
        }
        if (buffer == nullptr) {
            if (batch != nullptr)
                batches_.give_back(*batch);
            else
                core_.uncharge(1);
            return install_status::crowded;
        }
        batch->tier = core_.table[run.first].tier();
        batch->buffer = buffer;
        batch->count = n;
        batch->open = n;
        reading_ += n;
        batch->retry_at = 0;
        batch->backoff_ns = 0;
        batch->failing_since_ns = 0;
        for (page_count i = 0; i < n; ++i)
            start_op(*batch, i, run.first + i, wanted && i == 0, write);
        batch->ops[0].asked_ns = asked_ns;
        pages_started_ += n;
        issue(*batch);
        return install_status::pending;
    }

    /// How many pages of `run` can be read in one batch with the first; charges all but the first.
    page_count charge_neighbours(page_run run) {
        const tier_number tier = core_.table[run.first].tier();
        const page_count most = std::min(run.count, max_run);
        page_count n = 1;
        for (; n < most; ++n) {
            const page_entry& entry = core_.table[run.first + n];
            if (entry.state() != page_state::swapped || entry.has(page_flag::loading) ||
                entry.tier() != tier || !core_.try_charge(1, installer_.prefetch_reserve()))
                break;
        }
        return n;
    }

    void start_op(load_batch& batch, page_count index, page_index page, bool wanted, bool write) {
        page_entry& entry = core_.table[page];
        load_op& op = batch.ops[index];
        op.slot = entry.slot();
        op.destination = batch.buffer + index * page_size;
        op.page = page;
        op.at = phase::retrying;
        op.wanted = wanted;
        op.to_write = write;
        op.abandoned = false;
        entry.clear(page_flag::demoting);
        entry.set(page_flag::loading);
        entry.set_frame({batches_.number_of(batch)});
    }

    /// Hands the tier every op of the batch that is to be read (again).
    void issue(load_batch& batch) {
        std::array<load_request*, max_run> requests;
        std::size_t n = 0;
        for (page_count i = 0; i < batch.count; ++i) {
            load_op& op = batch.ops[i];
            if (op.at != phase::retrying || op.abandoned)
                continue;
            op.at = phase::reading;
            op.status = tier_status::pending;
            requests[n++] = &op;
        }
        if (n == 0)
            return;
        core_.chain.at(batch.tier).load(std::span(requests.data(), n), client_);
    }

    void make_ready(load_batch& batch) {
        if (batch.ready)
            return;
        batch.ready = true;
        batch.next = ready_;
        ready_ = &batch;
    }

    /// Deals with every op that has arrived. Returns whether anything got further.
    bool settle(load_batch& batch) {
        const page_count open_before = batch.open;
        for (page_count i = 0; i < batch.count;) {
            const page_count done = settle_from(batch, i);
            if (done == 0) { // an event is unread: come back after it
                make_ready(batch);
                break;
            }
            i += done;
        }
        const bool worked = batch.open != open_before;
        if (batch.open == 0)
            free(batch);
        else if (batch.retry_at == 0 && waits_for_retry(batch))
            back_off(batch);
        return worked;
    }

    /// Returns how many ops from `index` on are dealt with as far as possible; 0 to try again.
    page_count settle_from(load_batch& batch, page_count index) {
        load_op& op = batch.ops[index];
        if (op.abandoned && (op.at == phase::arrived || op.at == phase::retrying)) {
            core_.chain.release(batch.tier, op.slot);
            core_.uncharge(1);
            finish(batch, op);
            return 1;
        }
        if (op.at != phase::arrived)
            return 1;
        if (op.status == tier_status::ok)
            return install_run(batch, index);
        return failed(batch, op) ? 1 : 0;
    }

    void finish(load_batch& batch, load_op& op) {
        op.at = phase::settled;
        --batch.open;
        --reading_;
    }
    void free(load_batch& batch) {
        if (batch.ready)
            unlink_ready(batch);
        if (batch.retry_at != 0)
            --backing_off_;
        batch.retry_at = 0;
        buffers_.give_back(batch.buffer, batch.count);
        batches_.give_back(batch);
    }
    void unlink_ready(load_batch& batch) {
        load_batch** link = &ready_;
        while (*link != &batch)
            link = &(*link)->next;
        *link = batch.next;
        batch.ready = false;
    }

    /// Installs the run of arrived pages that starts with op `index`; returns its length.
    page_count install_run(load_batch& batch, page_count index) {
        load_op& first = batch.ops[index];
        const bool clean = stays_clean(core_.table[first.page], first.to_write, false);
        demand_mask demanded = 0;
        page_count n = 0;
        for (; index + n < batch.count; ++n) {
            const load_op& op = batch.ops[index + n];
            if (op.at != phase::arrived || op.status != tier_status::ok || op.abandoned)
                break;
            if (n != 0 && clean != stays_clean(core_.table[op.page], op.to_write, false))
                break;
            demanded |= demand_mask{op.wanted} << n;
        }
        const auto r = installer_.copies({first.page, n}, first.destination, page_op::install,
                                         demanded, clean);
        for (page_count i = 0; i < r.done; ++i)
            arrived_safely(batch, batch.ops[index + i]);
        if (r.status == install_status::done)
            return n;
        // copies() took the charge back for what it left out; those reads still hold theirs.
        core_.money.charge(bytes_of(n - r.done));
        if (r.status != install_status::gone)
            return r.done;
        for (page_count i = r.done; i < n; ++i)
            give_up(batch, batch.ops[index + i]);
        return n;
    }

    void arrived_safely(load_batch& batch, load_op& op) {
        count(batch.tier, tier_status::ok);
        if (op.wanted)
            core_.record(resolution::slow_tier, op.asked_ns);
        finish(batch, op);
    }

    /// The page stays swapped.
    void give_up(load_batch& batch, load_op& op) {
        core_.table[op.page].clear(page_flag::loading);
        core_.uncharge(1);
        finish(batch, op);
    }

    /// A read failed. Returns false if an unread event has to be dealt with first.
    bool failed(load_batch& batch, load_op& op) {
        if (!op.wanted) {
            count(batch.tier, op.status);
            give_up(batch, op);
            return true;
        }
        const std::uint64_t now = core_.os.now_ns();
        if (batch.failing_since_ns == 0)
            batch.failing_since_ns = now;
        const bool hopeless = op.status == tier_status::corrupt ||
                              now - batch.failing_since_ns >= core_.tuning.read_retry_ns;
        if (hopeless) {
            const install_status how = poison(op.page);
            if (how == install_status::parked)
                return false;
            count(batch.tier, op.status);
            core_.record(resolution::poisoned, op.asked_ns);
            if (how != install_status::done)
                core_.uncharge(1);
            finish(batch, op);
            return true;
        }
        count(batch.tier, op.status);
        op.at = phase::retrying;
        return true;
    }

    [[nodiscard]] static bool waits_for_retry(const load_batch& batch) {
        for (page_count i = 0; i < batch.count; ++i)
            if (batch.ops[i].at == phase::retrying && !batch.ops[i].abandoned)
                return true;
        return false;
    }
    void back_off(load_batch& batch) {
        batch.backoff_ns = std::clamp(batch.backoff_ns * 2, first_backoff_ns, last_backoff_ns);
        batch.retry_at = core_.os.now_ns() + batch.backoff_ns;
        ++backing_off_;
    }
    void retry(load_batch& batch) {
        batch.retry_at = 0;
        --backing_off_;
        issue(batch);
    }

    /// The contents are lost: every access to the page is a machine check from now on. Returns
    /// `poisoned`, or `parked`, or `done` if the guest has a page there after all.
    install_status poison(page_index page) {
        page_entry& entry = core_.table[page];
        const kernel_result r = core_.os.poison(page, 1);
        if (r.status == kernel_status::again || r.status == kernel_status::busy ||
            r.status == kernel_status::no_memory)
            return install_status::parked;
        if (r.status == kernel_status::exists) {
            installer_.adopt_present(page, page_op::install, true);
            return install_status::done;
        }
        UFFDMM_CHECK(r.done == 1 || r.status == kernel_status::gone,
                     "lost contents cannot be reported to the guest: this kernel has no "
                     "UFFDIO_POISON");
        entry.clear(page_flag::loading);
        entry.clear(page_flag::demoting);
        const tier_number tier = entry.tier();
        core_.forget_slot(entry);
        entry.apply(page_op::poison);
        core_.watch.changes(page);
        ++core_.counts.poisoned_pages;
        core_.observer.on_event({event::kind::page_poisoned, core_.chain.at(tier).traits().name,
                                 core_.os.address(page), errc::poisoned});
        (void)core_.os.wake(page, 1);
        return install_status::poisoned;
    }

    shard_core<Kernel>& core_;
    installer<Kernel>& installer_;
    buffer_pool& buffers_;
    tier_client& client_;
    load_batches batches_;
    std::size_t most_away_;
    page_count reading_ = 0; ///< charged for reads under way
    mapping scratch_;
    load_batch* ready_ = nullptr;
    std::size_t backing_off_ = 0;
    page_count pages_started_ = 0;
};

} // namespace uffdmm
