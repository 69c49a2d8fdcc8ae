// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The chain of tiers of one shard: a page that leaves memory is offered to each in turn.
///
///     offer ─► tier 1 ─ok──────────────────────────► stored(page, tier, slot)
///                └─rejected/full/failed─► tier 2 ─► ... ─► not_stored(page)
///
/// A tier that is full or fails is degraded: it is passed over until its back-off is over, then
/// tried with whatever comes next; so is a remote tier that cannot be reached, for as long as that
/// lasts. Tier 0 is the same-filled pseudo tier and is never offered
/// pages.

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "uffdmm/engine/counter.hpp"
#include "uffdmm/engine/page_entry.hpp"
#include "uffdmm/engine/slot_holds.hpp"
#include "uffdmm/tier.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

struct arrival_job;

/// One page on its way to a tier. Lives in the shard's fixed pool.
struct store_op : store_request {
    page_index page;
    frame_index frame = no_frame;   ///< swap-out: the staged frame · demotion: no_frame
    tier_number tier = 0;           ///< where it is being stored now
    tier_number refusals = 0;       ///< tiers that turned the contents themselves down
    tier_number from = 0;           ///< demotion: where it comes from
    slot_id old_slot = no_slot;     ///< demotion: the slot it comes from
    arrival_job* arrival = nullptr; ///< contents from elsewhere: whose
    store_op* next = nullptr;       ///< free list, or waiting to be offered to the next tier
};

/// Client for loads from a tier with synchronous_load: their status says all.
class in_place_loads final : public tier_client {
    void store_done(store_request&) noexcept override {
        UFFDMM_CHECK(false, "a load does not end as a store");
    }
    void load_done(load_request&) noexcept override {}
};

/// Called on the shard thread when an op ends.
class store_listener {
  public:
    virtual void stored(store_op& op) noexcept = 0;     ///< in op.tier, op.slot
    virtual void not_stored(store_op& op) noexcept = 0; ///< no tier took it
    virtual void tier_degraded(tier_number tier, tier_status why) noexcept = 0;
    virtual void tier_recovered(tier_number tier) noexcept = 0;

  protected:
    ~store_listener() = default;
};

/// What is counted per tier; one writer (the shard), any reader.
struct tier_counters {
    counter reads;
    counter writes;
    counter rejected;
    counter demoted;
    counter read_errors;
    counter write_errors;
    counter corrupt;
    counter degraded; ///< 0 or 1
    // Copies of usage(), refreshed by the shard.
    counter pages;
    counter stored_bytes;
    counter occupied_bytes;
    counter memory_bytes;
    counter capacity_bytes;
};

/// Owner: the shard; all calls from its thread.
class tier_chain {
  public:
    explicit tier_chain(std::vector<std::unique_ptr<swap_tier>> tiers) : tiers_(std::move(tiers)) {
        UFFDMM_CHECK(tiers_.size() < max_tiers, "at most six tiers");
        for (tier_number tier = 1; tier <= last(); ++tier)
            if (at(tier).traits().latency == tier_latency::remote)
                remote_[remotes_++] = tier;
    }

    /// Whether what is stored, in the first tier at least, takes memory of the limit.
    [[nodiscard]] bool stores_in_memory() const {
        return last() != 0 && at(1).traits().counts_in_limit;
    }
    /// Number of the last tier; tiers are 1..last().
    [[nodiscard]] tier_number last() const { return static_cast<tier_number>(tiers_.size()); }
    /// For calls that may change what the tier holds.
    [[nodiscard]] swap_tier& at(tier_number tier) {
        UFFDMM_DCHECK(tier >= 1 && tier <= last(), "a tier of the chain");
        used_ = true;
        return *tiers_[tier - 1u];
    }
    [[nodiscard]] const swap_tier& at(tier_number tier) const { return *tiers_[tier - 1u]; }
    [[nodiscard]] tier_counters& counters(tier_number tier) { return counters_[tier]; }
    [[nodiscard]] const tier_counters& counters(tier_number tier) const { return counters_[tier]; }

    /// Frees a slot that no page names any more, now or when its last hold ends.
    void release(tier_number tier, slot_id slot) {
        if (holds_.size() == 0 || !holds_.defer_release(tier, slot))
            at(tier).release(slot);
    }
    /// The slot's contents stay until as many unholds. Returns false if too many are held.
    [[nodiscard]] bool hold(tier_number tier, slot_id slot) { return holds_.add(tier, slot); }
    void unhold(tier_number tier, slot_id slot) {
        if (holds_.remove(tier, slot))
            at(tier).release(slot);
    }

    /// Whether no tier takes the contents of an op that ended in not_stored(), now or later.
    [[nodiscard]] bool is_unwanted(const store_op& op) const { return op.refusals == last(); }

    /// Whether a store starting at `first` has any tier to go to now.
    [[nodiscard]] bool can_store(tier_number first, std::uint64_t now_ns) const {
        for (tier_number tier = first; tier <= last(); ++tier)
            if (healthy(tier, now_ns))
                return true;
        return false;
    }

    /// Offers pages to the tiers from `first` on. Each op ends in stored() or not_stored().
    void offer(std::span<store_op* const> ops, tier_number first, std::uint64_t now_ns,
               tier_client& client, store_listener& listener) {
        const tier_number tier = next_healthy(first, now_ns);
        if (tier > last()) {
            for (store_op* op : ops)
                listener.not_stored(*op);
            return;
        }
        std::array<store_request*, batch> requests;
        for (std::size_t at = 0; at < ops.size();) {
            std::size_t n = 0;
            for (; n < batch && at < ops.size(); ++n, ++at) {
                ops[at]->tier = tier;
                ops[at]->status = tier_status::pending;
                ops[at]->slot = no_slot;
                requests[n] = ops[at];
            }
            this->at(tier).store(std::span(requests.data(), n), client);
        }
    }

    /// A tier finished with `request`. Ops for the next tier are collected until pass_on().
    void store_done(store_request& request, std::uint64_t now_ns, store_listener& listener) {
        auto& op = static_cast<store_op&>(request);
        tier_counters& counts = counters_[op.tier];
        switch (op.status) {
        case tier_status::ok:
            ++counts.writes;
            heal(op.tier, listener);
            listener.stored(op);
            return;
        case tier_status::rejected:
            ++op.refusals;
            ++counts.rejected;
            break;
        case tier_status::busy:
            ++counts.rejected;
            break;
        case tier_status::full:
            degrade(op.tier, op.status, now_ns, listener);
            break;
        default:
            ++counts.write_errors;
            degrade(op.tier, tier_status::failed, now_ns, listener);
            break;
        }
        op.next = waiting_;
        waiting_ = &op;
    }

    [[nodiscard]] bool has_refused() const { return waiting_ != nullptr; }
    /// Offers what was turned down to the next tiers, batch by batch.
    void pass_on(std::uint64_t now_ns, tier_client& client, store_listener& listener) {
        while (waiting_ != nullptr) {
            std::array<store_op*, batch> ops;
            std::size_t n = 0;
            const tier_number refused_by = waiting_->tier;
            store_op* rest = nullptr;
            while (waiting_ != nullptr) {
                store_op* op = waiting_;
                waiting_ = op->next;
                if (op->tier == refused_by && n < batch) {
                    ops[n++] = op;
                } else {
                    op->next = rest;
                    rest = op;
                }
            }
            waiting_ = rest;
            std::reverse(ops.begin(), ops.begin() + static_cast<std::ptrdiff_t>(n));
            offer(std::span(ops.data(), n), static_cast<tier_number>(refused_by + 1), now_ns,
                  client, listener);
        }
    }

    void poll(tier_client& client) {
        used_ = true;
        for (auto& tier : tiers_)
            tier->poll(client);
    }

    /// Notices remote tiers that went away or came back.
    void watch(store_listener& listener) {
        for (std::size_t i = 0; i < remotes_; ++i) {
            const tier_number tier = remote_[i];
            const bool away = !tiers_[tier - 1u]->reachable();
            if (away == health_[tier].away)
                continue;
            health_[tier].away = away;
            if (!away) {
                heal(tier, listener);
            } else if (counters_[tier].degraded.load() == 0) {
                counters_[tier].degraded.set(1);
                listener.tier_degraded(tier, tier_status::failed);
            }
        }
    }
    /// As of the last watch().
    [[nodiscard]] bool is_away(tier_number tier) const { return health_[tier].away; }

    /// Whether some tier finishes loads later and has no descriptor that would say so: poll() is
    /// then due while loads are under way.
    [[nodiscard]] bool needs_polling() const {
        return std::any_of(tiers_.begin(), tiers_.end(), [](const auto& tier) {
            return !tier->traits().synchronous_load && tier->event_fd() < 0;
        });
    }

    /// Host memory of all tiers: those that count in the limit grow, the others hold descriptors.
    /// As of the last refresh_counters().
    [[nodiscard]] byte_count memory_bytes() const { return memory_bytes_; }

    /// Asks the tiers what they hold, if they were used since; returns whether they were.
    bool refresh_counters() {
        if (!std::exchange(used_, false))
            return false;
        memory_bytes_ = 0;
        for (tier_number tier = 1; tier <= last(); ++tier) {
            const tier_usage now = tiers_[tier - 1u]->usage();
            memory_bytes_ += now.memory_bytes;
            tier_counters& counts = counters_[tier];
            counts.pages.set(now.pages);
            counts.stored_bytes.set(now.stored_bytes);
            counts.occupied_bytes.set(now.occupied_bytes);
            counts.memory_bytes.set(now.memory_bytes);
            counts.capacity_bytes.set(now.capacity_bytes);
        }
        return true;
    }

  private:
    struct health {
        std::uint64_t retry_at = 0; ///< degraded until then
        std::uint64_t backoff_ns = 0;
        bool away = false; ///< cannot be reached
    };
    static constexpr std::size_t batch = 64;
    static constexpr std::uint64_t first_backoff_ns = 10'000'000;
    static constexpr std::uint64_t last_backoff_ns = 1'000'000'000;

    [[nodiscard]] bool healthy(tier_number tier, std::uint64_t now_ns) const {
        return health_[tier].retry_at <= now_ns && !health_[tier].away;
    }
    [[nodiscard]] tier_number next_healthy(tier_number tier, std::uint64_t now_ns) const {
        while (tier <= last() && !healthy(tier, now_ns))
            ++tier;
        return tier;
    }
    void degrade(tier_number tier, tier_status why, std::uint64_t now_ns,
                 store_listener& listener) {
        health& h = health_[tier];
        if (h.retry_at > now_ns)
            return; // the rest of a batch that failed together
        h.backoff_ns = std::clamp(h.backoff_ns * 2, first_backoff_ns, last_backoff_ns);
        h.retry_at = now_ns + h.backoff_ns;
        // A full tier with another one behind it is the normal state of a hierarchy.
        if ((why == tier_status::failed || tier == last()) &&
            counters_[tier].degraded.load() == 0) {
            counters_[tier].degraded.set(1);
            listener.tier_degraded(tier, why);
        }
    }
    void heal(tier_number tier, store_listener& listener) {
        if (health_[tier].away)
            return; // a store that ended before the connection did
        health_[tier] = {};
        if (counters_[tier].degraded.load() != 0) {
            counters_[tier].degraded.set(0);
            listener.tier_recovered(tier);
        }
    }

    std::vector<std::unique_ptr<swap_tier>> tiers_;
    std::array<tier_counters, max_tiers + 1> counters_;
    std::array<health, max_tiers + 1> health_{};
    std::array<tier_number, max_tiers> remote_{}; ///< the first `remotes_`
    std::size_t remotes_ = 0;
    slot_holds holds_;
    store_op* waiting_ = nullptr;
    byte_count memory_bytes_ = 0;
    bool used_ = true; ///< since the counters were refreshed
};

} // namespace uffdmm
