// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A shard with a fake kernel, fake tiers and simulated vCPUs, next to a reference model of what
/// the guest must see. Operations come from a string of bytes, so that a random test and a fuzzer
/// drive the same code. No threads: everything happens in step().

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "registry/registry.hpp"
#include "support/fake_kernel.hpp"
#include "support/fake_tier.hpp"
#include "uffdmm/engine/shard.hpp"

namespace uffdmm::test {

/// How a world is built.
struct world_options {
    page_count pages = 512;
    page_count room = 160; ///< pages of memory beyond the metadata
    kernel_traits traits{.shared = false, .move = true, .poison = true, .remove_events = true};
    std::string policy = "s3fifo";
    std::string prefetch = "adaptive";
    std::vector<fake_tier::shape> tiers{{true, true}, {false, false}};
    std::size_t first_capacity = 128; ///< pages, of the first tier
    unsigned vcpus = 4;
    on_swap_full when_full = on_swap_full::exceed;
    page_count prefetch_window = 96;
    prefetcher_factory make_prefetcher; ///< instead of `prefetch`
};

class shard_world final : private waker, private squeeze_listener, private shard_observer {
  public:
    explicit shard_world(const world_options& o)
        : options(o), os(o.pages, o.pages + 256, o.traits), money(byte_count{1} << 40),
          mail_(*this) {
        std::vector<std::unique_ptr<swap_tier>> tiers;
        for (const fake_tier::shape& shape : o.tiers) {
            controls.push_back(std::make_shared<fake_tier_controls>());
            tiers.push_back(std::make_unique<fake_tier>(shape, controls.back()));
        }
        if (!controls.empty())
            controls.front()->capacity_pages = o.first_capacity;
        shard_tuning tuning;
        tuning.when_full = o.when_full;
        tuning.read_retry_ns = 50'000'000;
        engine = std::make_unique<shard<fake_kernel>>(
            os, shard<fake_kernel>::parts{tuning, money, *this, mail_, find_policy(o.policy),
                                          o.make_prefetcher
                                              ? o.make_prefetcher
                                              : find_prefetcher(o.prefetch, o.prefetch_window),
                                          std::move(tiers), *this});
        set_room(o.room);
        os.vcpus.resize(o.vcpus);
        plans_.resize(o.vcpus);
        truth_.resize(o.pages);
    }
    ~shard_world() {
        for (auto& c : controls)
            c->behave();
        finish();
        (void)run_command(command::kind::stop, {});
    }

    world_options options;
    fake_kernel os;
    budget money;
    std::vector<std::shared_ptr<fake_tier_controls>> controls;
    std::unique_ptr<shard<fake_kernel>> engine;
    std::vector<event> events;
    bool check_limit = true;

    void set_room(page_count pages) {
        money.set_limit(engine->counters().metadata_bytes.load() + bytes_of(pages));
    }

    /// One round of the shard.
    void step() {
        os.clock_ns += 1000;
        const wait_hint next = engine->step();
        if (next != wait_hint::poll && next != wait_hint::served)
            os.clock_ns += 200'000;
        resume_vcpus();
    }
    void steps(unsigned n) {
        for (unsigned i = 0; i < n; ++i)
            step();
    }

    /// Starts an access on a vCPU that is not busy.
    void start_access(unsigned cpu, page_index page, bool write) {
        if (plans_[cpu].active)
            return;
        plans_[cpu] = {true, page, write};
        try_access(cpu);
    }
    /// One access to its end.
    void touch(page_index page, bool write) {
        wait_for_vcpu(0);
        start_access(0, page, write);
        wait_for_vcpu(0);
    }
    /// Whether vCPU `cpu` waits for a fault.
    [[nodiscard]] bool blocked(unsigned cpu) const { return plans_[cpu].active; }
    void wait_for_vcpu(unsigned cpu) {
        for (unsigned i = 0; plans_[cpu].active; ++i) {
            UFFDMM_CHECK(i < patience, "every fault is answered");
            step();
        }
    }

    /// madvise by the embedder, in its moments; or the API's discard for shared memory.
    void begin_discard(page_run run) {
        if (pending_discard_ || !options.traits.remove_events)
            return;
        pending_discard_ = run;
        forget_truth(run);
        os.begin_discard(run);
    }
    void progress_discard() {
        if (!pending_discard_)
            return;
        if (os.discard_was_read()) {
            os.wake_discarder();
            discarder_awake_ = true;
        } else if (std::exchange(discarder_awake_, false)) {
            os.complete_discard();
            forget_truth(*pending_discard_);
            pending_discard_.reset();
        }
    }
    [[nodiscard]] bool discarding() const { return pending_discard_.has_value(); }
    void discard(page_run run) {
        if (options.traits.remove_events) {
            begin_discard(run);
            while (pending_discard_) {
                step();
                progress_discard();
            }
            return;
        }
        busy_.push_back(run);
        const bool done = run_command(command::kind::discard, run).ok();
        busy_.clear();
        if (done)
            for (page_index page = run.first; page < run.end(); page = page + 1)
                truth_[page.value] = {};
    }

    /// Starts a command that outlives the world's steps.
    void post(command& c) { mail_.post(c); }
    [[nodiscard]] bool done(const command& c) { return !engine_has(c); }
    result<void> run_command(command::kind what, page_run run, command* keep = nullptr) {
        command local(what, run, engine->commands());
        command& c = keep != nullptr ? *keep : local;
        mail_.post(c);
        for (unsigned i = 0; engine_has(c); ++i) {
            UFFDMM_CHECK(i < patience, "every command ends");
            step();
            progress_discard();
        }
        return c.outcome;
    }

    /// A vCPU or a discard is under way.
    [[nodiscard]] bool busy() const { return pending_discard_ || any_active(); }
    /// Lets everything that is under way end.
    void finish() {
        for (unsigned i = 0; pending_discard_ || any_active(); ++i) {
            UFFDMM_CHECK(i < patience, "everything ends");
            step();
            progress_discard();
        }
    }

    /// Reads every page through the guest and compares.
    void verify_all() {
        finish();
        for (page_index page{0}; page.value < options.pages; page = page + 1)
            touch(page, false);
    }
    void check() const {
        engine->check_invariants();
        check_slots();
        check_huge_pages();
        if (!check_limit || seen(event::kind::over_limit))
            return;
        // What is promised beyond the limit: stores under way may grow a tier's memory.
        UFFDMM_CHECK(money.free() >= -static_cast<std::int64_t>(bytes_of(512)),
                     "the limit is a promise");
    }
    /// A huge page keeps no memory that is not charged. (It may keep that of a resident page: one
    /// that the kernel was discarding when it was installed.)
    void check_huge_pages() const {
        for (page_index page{0}; page.value < options.pages && !discarding(); page = page + 1)
            UFFDMM_CHECK(os.mapped(page) || !os.kept(page) || state(page) == page_state::resident,
                         "no huge page keeps memory of pages that are gone");
    }
    /// No slot is leaked, and none is named twice.
    void check_slots() const {
        if (engine->in_flight() != 0)
            return;
        std::array<std::size_t, max_tiers + 1> named{};
        for (page_index page{0}; page.value < options.pages; page = page + 1) {
            const page_entry& entry = engine->table()[page];
            named[entry.tier()] += entry.has(page_flag::has_slot) ? 1 : 0;
        }
        for (tier_number tier = 1; tier <= engine->tiers().last(); ++tier)
            UFFDMM_CHECK(engine->tiers().at(tier).usage().pages == named[tier],
                         "every slot is named by one page");
    }
    /// Brings everything in: afterwards the guest needs the library no more.
    void restore_all() {
        finish();
        UFFDMM_CHECK(run_command(command::kind::restore, {{0}, options.pages}).ok(), "restored");
        for (page_index page{0}; page.value < options.pages; page = page + 1) {
            if (os.poisoned(page))
                continue;
            std::byte expected[page_size];
            fill(expected, page, truth_[page.value]);
            const bool there = os.mapped(page) || os.cached(page);
            UFFDMM_CHECK(there ? std::memcmp(os.contents(page), expected, page_size) == 0
                               : truth_[page.value] == 0 || is_zero(expected),
                         "restoring leaves plain memory with its contents");
            UFFDMM_CHECK(!os.is_protected(page), "restoring leaves writable memory");
        }
    }
    /// Another mapping of shared memory reads the page. Where we hold no contents it may write.
    void touch_through_alias(page_index page) {
        if (!options.traits.shared || state(page) == page_state::resident || os.poisoned(page))
            return;
        os.touch_through_alias(page);
        if (state(page) == page_state::untouched && !being_discarded(page))
            fill(os.contents(page), page, ++truth_[page.value]);
    }
    void unmap(page_index page) {
        if (options.traits.shared)
            os.unmap(page);
    }
    [[nodiscard]] bool seen(event::kind kind) const {
        for (const event& e : events)
            if (e.what == kind)
                return true;
        return false;
    }
    /// How often the page was written since it was last discarded.
    [[nodiscard]] std::uint32_t version(page_index page) const { return truth_[page.value]; }
    /// Contents that come from elsewhere are those of that write.
    void truth(page_run run, std::uint32_t version) {
        for (page_index page = run.first; page < run.end(); page = page + 1)
            truth_[page.value] = version;
    }
    /// The page may hold old contents or zeros: it is being discarded, or may be lost.
    [[nodiscard]] bool uncertain(page_index page) const {
        return being_discarded(page) || may_be_lost(page);
    }
    [[nodiscard]] unsigned machine_checks() const { return machine_checks_; }
    [[nodiscard]] page_state state(page_index page) const { return engine->table()[page].state(); }

    /// What a page must hold after its `version`th write: most pages compressible, some
    /// same-filled, some zero.
    static void fill(std::byte* out, page_index page, std::uint32_t version) {
        if (version == 0 || version % 7 == 6) {
            std::memset(out, 0, page_size);
        } else if (version % 7 == 5) {
            std::memset(out, 0x5c, page_size);
        } else {
            std::memset(out, static_cast<int>(page.value & 0xff), page_size);
            std::memcpy(out + 64, &page.value, sizeof page.value);
            std::memcpy(out + 3000, &version, sizeof version);
        }
    }

  private:
    static constexpr unsigned patience = 200'000;
    struct plan {
        bool active = false;
        page_index page;
        bool write = false;
    };

    void wake() noexcept override {}
    void squeezed() noexcept override {}
    void on_event(const event& e) noexcept override { events.push_back(e); }

    [[nodiscard]] bool any_active() const {
        for (const plan& p : plans_)
            if (p.active)
                return true;
        return false;
    }
    [[nodiscard]] bool engine_has(const command& c) { return !mail_.empty() || in_queue(c); }
    [[nodiscard]] bool in_queue(const command& c) const {
        for (const command* q = engine->commands().front(); q != nullptr; q = q->next)
            if (q == &c)
                return true;
        return false;
    }

    void resume_vcpus() {
        for (unsigned cpu = 0; cpu < plans_.size(); ++cpu)
            if (plans_[cpu].active && !os.vcpus[cpu].blocked)
                try_access(cpu);
    }
    void try_access(unsigned cpu) {
        plan& p = plans_[cpu];
        switch (os.touch(os.vcpus[cpu], p.page, p.write)) {
        case fake_kernel::access::faulted:
            return;
        case fake_kernel::access::machine_check:
            ++machine_checks_;
            UFFDMM_CHECK(may_be_lost(p.page), "only a page whose read failed is poisoned");
            break;
        case fake_kernel::access::done:
            access(p);
            break;
        }
        p.active = false;
    }
    [[nodiscard]] bool may_be_lost(page_index page) const {
        for (const auto& c : controls)
            if (c->reported_lost.contains(page.value))
                return true;
        return false;
    }
    [[nodiscard]] bool being_discarded(page_index page) const {
        if (pending_discard_ && pending_discard_->contains(page))
            return true;
        for (const page_run& run : busy_)
            if (run.contains(page))
                return true;
        return false;
    }
    void access(const plan& p) {
        if (being_discarded(p.page))
            return; // old, new or zeros: all are right
        std::byte expected[page_size];
        std::uint32_t& version = truth_[p.page.value];
        fill(expected, p.page, version);
        UFFDMM_CHECK(std::memcmp(os.contents(p.page), expected, page_size) == 0,
                     "the guest sees what it wrote");
        if (p.write)
            fill(os.contents(p.page), p.page, ++version);
    }
    void forget_truth(page_run run) {
        for (page_index page = run.first; page < run.end(); page = page + 1)
            truth_[page.value] = {};
    }

    [[nodiscard]] static bool is_zero(const std::byte* contents) {
        return fill_pattern_of(contents) == std::uint64_t{0};
    }

    mailbox mail_;
    std::vector<plan> plans_;
    std::vector<std::uint32_t> truth_;
    std::optional<page_run> pending_discard_;
    bool discarder_awake_ = false;
    std::vector<page_run> busy_;
    unsigned machine_checks_ = 0;
};

} // namespace uffdmm::test
