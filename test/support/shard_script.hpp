// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Runs a string of bytes as operations on a shard_world: the model test feeds it random bytes, the
/// fuzzer its own. Every byte string is a valid script.

#include <array>
#include <optional>
#include <span>

#include "support/arrival_model.hpp"
#include "support/look_model.hpp"
#include "support/shard_world.hpp"

namespace uffdmm::test {

class shard_script {
  public:
    explicit shard_script(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

    void run() {
        shard_world world(options());
        world.os.inject = [this](fake_kernel::op what, page_index) { return injection(what); };
        world.os.asks_for_write = byte() % 4 == 0;
        while (!bytes_.empty()) {
            operation(world);
            world.check();
            for (auto& window : looking_)
                if (window)
                    window->check();
        }
        injecting_ = false;
        for (auto& c : world.controls) {
            c->fail_stores = c->fail_loads = c->refuse_stores = c->hold = false;
            c->capacity_pages = SIZE_MAX;
        }
        if (world.options.when_full == on_swap_full::wait)
            world.set_room(2 * pages_); // what fits nowhere may wait until there is room
        world.verify_all();
        world.steps(2000);
        for (auto& window : looking_)
            window.reset();
        world.check();
        while (!pinned_.empty())
            unpin(world);
        world.restore_all();
        world.check();
    }

  private:
    std::uint8_t byte() {
        if (bytes_.empty())
            return 0;
        const std::uint8_t b = bytes_.front();
        bytes_ = bytes_.subspan(1);
        return b;
    }
    unsigned number(unsigned below) {
        const unsigned high = byte();
        return (high << 8 | byte()) % below;
    }

    world_options options() {
        world_options o;
        const unsigned kind = byte() % 4;
        o.traits.shared = kind == 2;
        o.traits.move = kind < 2;
        o.traits.remove_events = kind == 0;
        o.traits.huge_page = o.traits.move && byte() % 2 == 0 ? 32 : 0;
        o.when_full = byte() % 4 == 0 ? on_swap_full::wait : on_swap_full::exceed;
        o.policy = policy_names()[byte() % policy_names().size()];
        o.prefetch = prefetcher_names()[byte() % prefetcher_names().size()];
        switch (byte() % 5) {
        case 0:
            o.tiers = {{true, true}};
            o.first_capacity = SIZE_MAX;
            break;
        case 1:
            o.tiers = {{false, false}};
            o.first_capacity = SIZE_MAX;
            break;
        case 2:
            o.tiers = {{true, true}, {true, false}, {false, false}};
            o.first_capacity = 60;
            break;
        case 3:
            o.tiers = {};
            o.when_full = on_swap_full::exceed; // else the guest waits for ever
            break;
        default:
            break;
        }
        o.pages = 256 + number(256);
        o.room = o.traits.huge_page != 0 && byte() % 2 == 0 ? 4 * o.pages : 96 + number(128);
        pages_ = o.pages;
        return o;
    }

    fake_kernel::injected injection(fake_kernel::op what) {
        if (!injecting_)
            return {};
        // Scattered, not every n-th: a retry that takes n operations would fail for ever.
        const std::uint64_t dice = scatter(++operations_);
        if (dice % period_ != 0)
            return {};
        // Taking out may fail in every way. `exists` elsewhere would be a lie about the guest, and
        // `gone` would have to end the world.
        using s = kernel_status;
        constexpr s any[] = {s::again, s::busy, s::no_memory, s::exists, s::gone, s::missing};
        const bool out = what == fake_kernel::op::take_out;
        const unsigned ways = out ? 6 : what == fake_kernel::op::discard ? 2 : 3;
        const std::uint64_t more = dice / period_;
        return {static_cast<page_count>(more % 3), any[more / 3 % ways]};
    }
    /// A permutation of 64-bit numbers without visible order (the finaliser of splitmix64).
    [[nodiscard]] static std::uint64_t scatter(std::uint64_t n) {
        n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9u;
        n = (n ^ (n >> 27)) * 0x94d049bb133111ebu;
        return n ^ (n >> 31);
    }

    page_index any_page() { return {number(pages_)}; }
    page_run any_run(page_count most) {
        const page_index first = any_page();
        return {first, std::min(1 + number(most), pages_ - first.value)};
    }

    void operation(shard_world& w) {
        const unsigned what = byte();
        if (what < 110)
            w.start_access(what % w.options.vcpus, any_page(), what % 3 == 0);
        else if (what < 150)
            sweep(w, what);
        else if (what < 190)
            w.steps(1 + what % 16);
        else if (what < 194)
            w.begin_discard(any_run(100));
        else if (what < 197)
            look(w);
        else if (what < 198)
            arrive(w);
        else if (what < 205)
            other_mapping(w, what);
        else if (what < 225)
            w.progress_discard();
        else if (what < 240)
            command_on(w, what);
        else
            disturb(w, what);
    }
    /// Neighbouring pages in order, up or down.
    void sweep(shard_world& w, unsigned what) {
        if (what % 8 == 7) {
            read_all(w, 1 + number(4));
            return;
        }
        const page_run run = any_run(40);
        for (page_count i = 0; i < run.count; ++i) {
            const page_count at = what % 2 == 0 ? i : run.count - 1 - i;
            w.start_access(i % w.options.vcpus, run.first + at, what % 4 == 1);
            w.step();
            w.progress_discard();
        }
    }
    /// One thread reads on to the end, every page or every few: a one-pass reader.
    void read_all(shard_world& w, page_count stride) {
        w.os.vcpus[0].thread = 1;
        for (std::uint32_t page = number(32); page < pages_; page += stride) {
            w.start_access(0, {page}, false);
            w.step();
            w.progress_discard();
        }
    }
    void command_on(shard_world& w, unsigned what) {
        using kind = command::kind;
        for (const auto& c : w.controls)
            if (c->hold)
                return; // would wait for ever
        switch (what % 5) {
        case 0:
            if (!w.options.traits.remove_events)
                w.discard(any_run(100));
            break;
        case 1:
            pin(w, any_run(8));
            break;
        case 2:
            unpin(w);
            break;
        case 3:
            (void)w.run_command(kind::prefetch, any_run(64));
            break;
        default:
            (void)w.run_command(kind::evict, any_run(64));
            break;
        }
    }
    void pin(shard_world& w, page_run run) {
        const bool alone = !w.discarding(); // else the pages may go while they are pinned
        if (pinned_.size() >= 3 || !w.run_command(command::kind::pin, run).ok())
            return;
        pinned_.push_back(run);
        if (!alone)
            return;
        for (page_index page = run.first; page < run.end(); page = page + 1)
            UFFDMM_CHECK(w.os.mapped(page) || w.os.cached(page) ||
                             w.state(page) != page_state::resident,
                         "a pinned page is there");
    }
    void unpin(shard_world& w) {
        if (pinned_.empty())
            return;
        UFFDMM_CHECK(w.run_command(command::kind::unpin, pinned_.back()).ok(), "unpin after pin");
        pinned_.pop_back();
    }
    /// A migration looks at two windows, in turns; a moment later it may look at the next.
    void look(shard_world& w) {
        auto& next = looking_[next_look_];
        if (next && !next->done())
            return;
        next.reset();
        next.emplace(w, any_run(page_watch::most), next_look_);
        next_look_ = 1 - next_look_;
    }
    /// Contents come from elsewhere for some pages, while no vCPU is at work.
    void arrive(shard_world& w) {
        for (const auto& c : w.controls)
            if (c->hold)
                return; // would wait for ever
        for (unsigned i = 0; i < 200 && w.busy(); ++i) {
            w.step();
            w.progress_discard();
        }
        if (w.busy())
            return; // somebody waits for memory, or for a tier
        arrival_model a(w, any_run(arrival_job::most), byte());
        a.run();
    }
    void other_mapping(shard_world& w, unsigned what) {
        const page_run run = any_run(20);
        for (page_index page = run.first; page < run.end(); page = page + 1)
            what % 2 == 0 ? w.touch_through_alias(page) : w.unmap(page);
    }
    void disturb(shard_world& w, unsigned what) {
        if (what % 8 == 0) {
            w.set_room(number(4) == 0 ? 3 * pages_ : 80 + number(160));
            return;
        }
        if (what % 8 == 1) {
            injecting_ = !injecting_;
            period_ = 2 + number(30);
            return;
        }
        if (w.controls.empty())
            return;
        fake_tier_controls& c = *w.controls[number(static_cast<unsigned>(w.controls.size()))];
        switch (what % 8) {
        case 2:
            c.fail_stores = !c.fail_stores;
            break;
        case 3:
            c.refuse_stores = !c.refuse_stores;
            break;
        case 4:
            c.corrupt_next_load = true;
            break;
        case 5:
            c.latest_first = !c.latest_first;
            break;
        case 6:
            c.hold = !c.hold;
            break;
        default:
            c.fail_loads = !c.fail_loads;
            break;
        }
    }

    std::span<const std::uint8_t> bytes_;
    page_count pages_ = 0;
    std::vector<page_run> pinned_;
    std::array<std::optional<look_model>, page_watch::windows> looking_;
    unsigned next_look_ = 0;
    bool injecting_ = false;
    std::uint64_t operations_ = 0;
    unsigned period_ = 2;
};

} // namespace uffdmm::test
