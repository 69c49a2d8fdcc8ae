// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The host-memory limit, shared by all shards of a manager, and each shard's account with it.
///
///     limit = free + sum of what the accounts were granted;  granted >= used in every account
///
/// An account takes and returns grants in chunks, so the shared counter is touched once per 64
/// pages. Under pressure a shard may keep its fair share (proportional to its weight); one that
/// needs memory while below its share squeezes those that are above theirs.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "uffdmm/check.hpp"
#include "uffdmm/detail/mutex.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

class account;

class budget {
  public:
    explicit budget(byte_count limit)
        : limit_(static_cast<std::int64_t>(limit)), free_(static_cast<std::int64_t>(limit)) {}
    budget(const budget&) = delete;
    budget& operator=(const budget&) = delete;

    // Any thread.
    [[nodiscard]] std::int64_t limit() const { return limit_.load(std::memory_order_relaxed); }
    /// Not granted to anybody; negative while the limit was lowered or is exceeded.
    [[nodiscard]] std::int64_t free() const { return free_.load(std::memory_order_relaxed); }
    /// Most memory ever granted, bytes.
    [[nodiscard]] std::int64_t peak() const { return peak_.load(std::memory_order_relaxed); }

    /// Takes `bytes` if that many are free.
    [[nodiscard]] bool try_take(std::int64_t bytes) {
        std::int64_t now = free_.load(std::memory_order_relaxed);
        do {
            if (now < bytes)
                return false;
        } while (!free_.compare_exchange_weak(now, now - bytes, std::memory_order_relaxed));
        note_peak(now - bytes);
        return true;
    }
    /// Takes `bytes`, exceeding the limit if it must.
    void take(std::int64_t bytes) {
        note_peak(free_.fetch_sub(bytes, std::memory_order_relaxed) - bytes);
    }
    void give(std::int64_t bytes) { free_.fetch_add(bytes, std::memory_order_relaxed); }

    /// Set-up thread or API thread. Accounts see it at their next look.
    void set_limit(byte_count limit);

  private:
    friend class account;
    void join(account& member);
    void leave(account& member);
    void recompute_shares() UFFDMM_REQUIRES(members_mutex_);
    void squeeze_others(const account& needy);
    void note_peak(std::int64_t free) {
        const std::int64_t used = limit() - free;
        std::int64_t peak = peak_.load(std::memory_order_relaxed);
        while (used > peak && !peak_.compare_exchange_weak(peak, used, std::memory_order_relaxed)) {
        }
    }

    std::atomic<std::int64_t> limit_;
    std::atomic<std::int64_t> free_;
    std::atomic<std::int64_t> peak_{0};
    mutex members_mutex_; ///< membership and shares; never taken to resolve a fault
    std::vector<account*> members_ UFFDMM_GUARDED_BY(members_mutex_);
};

/// Wakes the shard behind an account that was squeezed.
class squeeze_listener {
  public:
    virtual void squeezed() noexcept = 0; ///< any shard thread

  protected:
    ~squeeze_listener() = default;
};

/// One shard's account. Owner: the shard; all calls from its thread unless stated.
class account {
  public:
    account(budget& shared, std::uint64_t weight, squeeze_listener& listener)
        : shared_(shared), weight_(std::max<std::uint64_t>(weight, 1)), listener_(listener) {
        shared_.join(*this);
    }
    ~account() {
        shared_.leave(*this);
        shared_.give(granted_.load(std::memory_order_relaxed));
    }
    account(const account&) = delete;
    account& operator=(const account&) = delete;

    /// Charges `bytes` if the limit allows while leaving `reserve` bytes available.
    [[nodiscard]] bool try_charge(byte_count bytes, byte_count reserve = 0) {
        const auto wanted = static_cast<std::int64_t>(bytes);
        if (available() < wanted + static_cast<std::int64_t>(reserve))
            return false;
        if (spare() < wanted && !shared_.try_take(chunk_for(wanted))) {
            const std::int64_t exact = wanted - spare();
            if (!shared_.try_take(exact))
                return false;
            grant(exact);
        } else if (spare() < wanted) {
            grant(chunk_for(wanted));
        }
        use(wanted);
        return true;
    }
    /// Charges what is used already, whatever the limit says.
    void charge(byte_count bytes) {
        const auto wanted = static_cast<std::int64_t>(bytes);
        if (spare() < wanted) {
            const std::int64_t more = wanted - spare();
            shared_.take(more);
            grant(more);
        }
        use(wanted);
    }
    void uncharge(byte_count bytes) {
        use(-static_cast<std::int64_t>(bytes));
        UFFDMM_DCHECK(used() >= 0, "an account never returns more than it took");
        if (spare() > 2 * chunk)
            give_back(spare() - chunk);
        else if (shared_.free() < 0)
            give_back(spare());
    }

    /// Bytes this shard could charge now. Negative when the limit is exceeded.
    [[nodiscard]] std::int64_t available() const { return spare() + shared_.free(); }
    [[nodiscard]] std::int64_t used() const { return used_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::int64_t granted() const { return granted_.load(std::memory_order_relaxed); }
    /// available() as reclaim should see it: while others ask, a shard above its share has nothing
    /// to spare, and owes what it is above.
    [[nodiscard]] std::int64_t headroom() {
        if (asked_.load(std::memory_order_relaxed)) {
            give_back(spare());
            if (over_share() && shared_.free() < chunk)
                return fair_share() - granted();
            asked_.store(false, std::memory_order_relaxed); // the next who is in need asks again
        }
        return available();
    }
    /// What the shard may keep when everybody wants more. Any thread.
    [[nodiscard]] std::int64_t fair_share() const { return share_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool over_share() const { return granted() > fair_share(); }

    /// Asks shards above their share to give memory up.
    void squeeze_others() { shared_.squeeze_others(*this); }

    /// A grant is taken in pieces of this size.
    static constexpr std::int64_t chunk = 64 * static_cast<std::int64_t>(page_size);

  private:
    friend class budget;
    [[nodiscard]] std::int64_t spare() const { return granted() - used(); }
    [[nodiscard]] static std::int64_t chunk_for(std::int64_t wanted) {
        return std::max(wanted, chunk);
    }
    void grant(std::int64_t bytes) { granted_.store(granted() + bytes, std::memory_order_relaxed); }
    void give_back(std::int64_t bytes) {
        granted_.store(granted() - bytes, std::memory_order_relaxed);
        shared_.give(bytes);
    }
    void use(std::int64_t bytes) { used_.store(used() + bytes, std::memory_order_relaxed); }

    budget& shared_;
    std::uint64_t weight_;
    squeeze_listener& listener_;
    std::atomic<std::int64_t> granted_{0}; ///< written by the owner, read by any
    std::atomic<std::int64_t> used_{0};    ///< written by the owner, read by any
    std::atomic<std::int64_t> share_{0};   ///< written under members_mutex_, read by any
    std::atomic<bool> asked_{false};       ///< to give up what is above the share; a hint
};

inline void budget::join(account& member) {
    const mutex_lock lock(members_mutex_);
    members_.push_back(&member);
    recompute_shares();
}

inline void budget::leave(account& member) {
    const mutex_lock lock(members_mutex_);
    std::erase(members_, &member);
    recompute_shares();
}

inline void budget::recompute_shares() {
    std::uint64_t weights = 0;
    for (const account* member : members_)
        weights += member->weight_;
    for (account* member : members_) {
        const double part = static_cast<double>(member->weight_) / static_cast<double>(weights);
        member->share_.store(static_cast<std::int64_t>(static_cast<double>(limit()) * part),
                             std::memory_order_relaxed);
    }
}

inline void budget::set_limit(byte_count limit) {
    const mutex_lock lock(members_mutex_);
    const auto wanted = static_cast<std::int64_t>(limit);
    const std::int64_t before = limit_.exchange(wanted, std::memory_order_relaxed);
    free_.fetch_add(wanted - before, std::memory_order_relaxed);
    recompute_shares();
    for (account* member : members_)
        member->listener_.squeezed();
}

inline void budget::squeeze_others(const account& needy) {
    const mutex_lock lock(members_mutex_);
    for (account* member : members_)
        if (member != &needy && member->over_share()) {
            member->asked_.store(true, std::memory_order_relaxed);
            member->listener_.squeezed();
        }
}

} // namespace uffdmm
