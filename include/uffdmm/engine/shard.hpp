// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A shard: the actor that owns a slice of a region. step() does one round of everything; lib's
/// shard thread and the tests' stepped world call nothing else.
///
///     step: mail ─► tier completions ─► faults ─► waiting faults ─► read-ahead ─► commands ─►
///     reclaim ─► demotion

#include "uffdmm/engine/command_runner.hpp"

namespace uffdmm {

template <kernel Kernel>
class shard final : private tier_client {
  public:
    struct parts {
        shard_tuning tuning;
        budget& shared;
        squeeze_listener& squeezed;
        mailbox& mail;
        policy_factory policy;
        prefetcher_factory prefetch;
        std::vector<std::unique_ptr<swap_tier>> tiers;
        shard_observer& observer;
    };

    shard(Kernel& os, parts p)
        : mail_(p.mail), core_(os, p.tuning, p.shared, p.squeezed, p.policy, p.prefetch,
                               std::move(p.tiers), p.observer),
          buffers_(buffer_pages(os.frames())), installer_(core_),
          reads_(core_, installer_, buffers_, *this, load_batch_count),
          writes_(core_, buffers_, *this), looks_(core_, *this), evictor_(core_),
          discarder_(core_, reads_), huge_(core_, installer_), ahead_(core_, installer_, reads_),
          faults_(core_, installer_, reads_, ahead_, discarder_, huge_),
          reclaim_(core_, installer_, evictor_, writes_),
          commands_(core_, installer_, faults_, reads_, writes_, evictor_, reclaim_, discarder_,
                    looks_) {
        const byte_count metadata = core_.table.memory_bytes() + sizeof(*this);
        core_.counts.metadata_bytes.set(metadata);
        core_.money.charge(metadata);
        settle_own_memory();
        reclaim_.settle_tier_memory();
        huge_.step(); // before the guest's first fault
    }
    shard(const shard&) = delete;
    shard& operator=(const shard&) = delete;

    /// Set-up only: a page of an adopted range that has contents already.
    void adopt_resident(page_index page) {
        core_.money.charge(page_size);
        core_.made_resident(page, page_op::install_zero, install_cause::first_touch);
    }

    /// Shard thread. One round; returns how long the thread may sleep before the next.
    wait_hint step() {
        core_.step_ns = core_.os.now_ns();
        huge_.step();
        bool worked = mail_.drain() != 0;
        if (in_flight() != 0 || ++rounds_ % 256 == 0)
            core_.chain.poll(*this);
        core_.chain.watch(writes_);
        writes_.pass_on();
        worked |= reads_.service();
        const bool answered = faults_.serve() != 0;
        if (faults_.has_waiting())
            worked |= faults_.retry_waiting();
        if (!answered)
            worked |= ahead_.step();
        worked |= commands_.step(stuck_);
        worked |= reclaim();
        // Giving few frames back costs as much as giving back many: only when there is time.
        if (answered)
            answered_ns_ = core_.step_ns;
        worked = worked || (core_.step_ns - answered_ns_ >= quiet_ns && tidy());
        if (core_.step_ns - trimmed_ns_ >= trim_every_ns) {
            (void)buffers_.trim();
            trimmed_ns_ = core_.step_ns;
        }
        settle_own_memory();
        reclaim_.settle_tier_memory();
        core_.publish();
        if (worked)
            return wait_hint::poll;
        return rest(answered);
    }

    [[nodiscard]] bool stopped() const { return commands_.stopped(); }
    /// Faults have come within the last half millisecond.
    [[nodiscard]] bool serving() const {
        return answered_ns_ != 0 && core_.step_ns - answered_ns_ < quiet_ns;
    }
    /// Memory has been too short for a prefetch within the last half millisecond: what it costs
    /// to reclaim decides how fast the guest gets on.
    [[nodiscard]] bool outrun() const {
        return core_.window_cut_ns != 0 && core_.step_ns - core_.window_cut_ns < quiet_ns;
    }
    /// Shard thread: the guest's threads that fault.
    [[nodiscard]] const faulting_threads& faulting() const { return faults_.threads(); }
    /// The clock at the start of the last round.
    [[nodiscard]] std::uint64_t step_began_ns() const { return core_.step_ns; }
    /// An unread event holds faults up: the thread that caused it should get the CPU.
    [[nodiscard]] bool parked() const {
        return faults_.parked() || reads_.has_ready() || waits_for_event_;
    }
    [[nodiscard]] command_queue& commands() { return commands_.queue(); }
    [[nodiscard]] const shard_counters& counters() const { return core_.counts; }
    [[nodiscard]] const tier_chain& tiers() const { return core_.chain; }
    [[nodiscard]] const account& money() const { return core_.money; }
    /// Reads and writes of tiers under way.
    [[nodiscard]] std::size_t in_flight() const {
        return reads_.in_flight() + writes_.in_flight() + looks_.in_flight();
    }
    /// Any thread: page_watch::changed().
    [[nodiscard]] std::uint64_t changed_pages(unsigned window = 0) const {
        return core_.watch.changed(window);
    }
    /// Any thread: takes the page that a fault waits for while its contents are to come.
    [[nodiscard]] page_index take_awaited() {
        return {core_.awaited.exchange(no_page.value, std::memory_order_relaxed)};
    }
    /// Tests and the shard thread.
    [[nodiscard]] const page_table& table() const { return core_.table; }

    /// Tests: aborts if the shard's parts contradict each other. Walks the whole table.
    void check_invariants() const;

  private:
    static constexpr std::uint32_t load_batch_count = 32;
    /// Time without faults after which even a few dead frames are given back.
    static constexpr std::uint64_t quiet_ns = 500'000;
    /// How long buffers that a burst has left stay while there are faults all the time.
    static constexpr std::uint64_t trim_every_ns = 20'000'000;

    [[nodiscard]] static page_count buffer_pages(page_count frames) {
        return std::clamp<page_count>(frames / 64, 128, 512);
    }

    bool tidy() { return reclaim_.tidy() || buffers_.trim(); }

    /// A page being read is charged as the resident page it will be, and its memory is the buffer:
    /// that is counted once.
    [[nodiscard]] byte_count own_memory() const {
        const byte_count arriving = std::min(bytes_of(reads_.reading()), buffers_.memory_bytes());
        return core_.frames.memory_bytes() + buffers_.memory_bytes() - arriving +
               reads_.memory_bytes() + writes_.memory_bytes();
    }
    /// Charges what pools that grow with use have grown by.
    void settle_own_memory() {
        byte_count now = own_memory();
        if (now == own_memory_)
            return;
        // Buffers that a burst has left go at once where there is no room for them.
        const auto more = static_cast<std::int64_t>(now) - static_cast<std::int64_t>(own_memory_);
        if (more > core_.money.available() && buffers_.trim())
            now = own_memory();
        if (now > own_memory_)
            core_.money.charge(now - own_memory_);
        else
            core_.money.uncharge(own_memory_ - now);
        core_.counts.metadata_bytes += now - own_memory_;
        own_memory_ = now;
    }

    bool reclaim() {
        waits_for_event_ = false;
        waits_for_writes_ = false;
        if (commands_.restoring())
            return false;
        using need = typename reclaimer<Kernel>::need;
        const need lacking = reclaim_.step(faults_.starving() || commands_.starving());
        waits_for_event_ = lacking == need::event;
        waits_for_writes_ = lacking == need::writes;
        set_stuck(lacking == need::tiers);
        return reclaim_.demote() || lacking == need::more;
    }

    /// Nothing can leave memory any more. Faults are served beyond the limit if so configured.
    void set_stuck(bool stuck) {
        stuck_ = stuck;
        if (!stuck) {
            over_limit_told_ = over_limit_told_ && core_.free_pages() < 0;
            return;
        }
        if (core_.tuning.when_full != on_swap_full::exceed || !faults_.starving())
            return;
        core_.may_exceed = true;
        if (!over_limit_told_)
            core_.observer.on_event({event::kind::over_limit, {}, 0, errc::full});
        over_limit_told_ = true;
    }

    [[nodiscard]] wait_hint rest(bool answered) const {
        if (parked())
            return wait_hint::poll;
        const bool poll_reads = reads_.in_flight() != 0 && core_.chain.needs_polling();
        const bool due = poll_reads || reads_.backing_off() || stuck_ || waits_for_writes_ ||
                         faults_.has_waiting() || !commands_.idle() || writes_.in_flight() != 0;
        if (due)
            return wait_hint::timed;
        if (faults_.mostly_slow())
            return reclaim_.untidy() ? wait_hint::timed : wait_hint::sleep;
        if (reclaim_.untidy() || buffers_.trimmable())
            return answered ? wait_hint::poll : wait_hint::linger;
        return answered ? wait_hint::served : wait_hint::spin;
    }

    void store_done(store_request& request) noexcept override { writes_.store_done(request); }
    void load_done(load_request& request) noexcept override {
        if (static_cast<load_op&>(request).batch == load_op::of_a_peek)
            looks_.load_done(request);
        else
            reads_.load_done(request);
    }

    mailbox& mail_;
    shard_core<Kernel> core_;
    buffer_pool buffers_;
    installer<Kernel> installer_;
    swap_in<Kernel> reads_;
    swap_out<Kernel> writes_;
    peeker<Kernel> looks_;
    evictor<Kernel> evictor_;
    discarder<Kernel> discarder_;
    huge_filler<Kernel> huge_;
    read_ahead<Kernel> ahead_;
    fault_path<Kernel> faults_;
    reclaimer<Kernel> reclaim_;
    command_runner<Kernel> commands_;
    std::uint64_t rounds_ = 0;
    std::uint64_t trimmed_ns_ = 0;
    byte_count own_memory_ = 0;     ///< charged for pools that grow with use
    std::uint64_t answered_ns_ = 0; ///< last step that answered faults
    bool stuck_ = false;
    bool over_limit_told_ = false;
    bool waits_for_event_ = false;
    bool waits_for_writes_ = false;
};

} // namespace uffdmm

#include "uffdmm/engine/shard_invariants.hpp"
