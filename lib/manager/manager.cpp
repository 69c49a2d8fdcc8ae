// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/manager.hpp"

#include <algorithm>

#include "executor/worker_pool.hpp"
#include "manager/event_sink.hpp"
#include "manager/make_tiers.hpp"
#include "manager/managed_region.hpp"
#include "manager/statistics.hpp"
#include "manager/tuning.hpp"
#include "uffdmm/detail/mutex.hpp"

namespace uffdmm {
namespace {

byte_count metadata_of(const region_config& config) {
    byte_count bytes = 0;
    for (const page_count pages : managed_region::split(config.size, config.shards))
        bytes += shard_thread::estimated_metadata(pages);
    return bytes;
}

} // namespace

class manager::impl {
  public:
    explicit impl(const manager_config& config);
    impl(const impl&) = delete;
    impl& operator=(const impl&) = delete;
    /// Regions end newest first; the budget, workers and tiers they use after them.
    ~impl() {
        while (!regions_.empty())
            regions_.pop_back();
    }

    region& add_region(const region_config& config);
    result<void> remove_region(region& r, removal how);
    [[nodiscard]] byte_count missing_bytes(region& r);
    result<void> set_limit(byte_count limit);
    [[nodiscard]] byte_count limit() const noexcept {
        return static_cast<byte_count>(money_.limit());
    }
    result<void> wait_until_idle(std::chrono::milliseconds timeout);
    [[nodiscard]] stats statistics() const;

  private:
    /// What a shard needs besides its metadata to make any progress.
    static constexpr byte_count least_working_memory = byte_count{1} << 20;
    static constexpr byte_count limit_step = byte_count{2} << 20;

    using region_list = std::vector<std::unique_ptr<managed_region>>;

    void make_room(const region_config& config) UFFDMM_REQUIRES(changes_);
    result<void> settle() UFFDMM_REQUIRES(changes_);
    [[nodiscard]] managed_region* find(const region& r);
    [[nodiscard]] byte_count missing_bytes_of(managed_region& r) UFFDMM_REQUIRES(changes_);
    [[nodiscard]] byte_count host_memory() const;
    /// For those who wait while they walk the list. It changes only under both locks, so either is
    /// enough to read it, which the analysis has no word for.
    [[nodiscard]] const region_list& regions() const
        UFFDMM_REQUIRES(changes_) UFFDMM_NO_THREAD_SAFETY_ANALYSIS {
        return regions_;
    }

    budget money_;
    event_sink events_;
    worker_pool workers_;
    gathering_place gathering_;
    std::vector<tier_factory> tiers_;
    shard_services services_;

    mutex changes_; ///< serialises calls that add, remove or resize; held while they wait
    mutable mutex regions_mutex_; ///< the list itself; never held while waiting
    unsigned next_shard_ UFFDMM_GUARDED_BY(changes_) = 0;
    region_list regions_ UFFDMM_GUARDED_BY(regions_mutex_);
    /// Counters of regions that are gone, and the tiers' names.
    stats retired_ UFFDMM_GUARDED_BY(regions_mutex_);
};

manager::impl::impl(const manager_config& config)
    : money_(config.limit), events_(config.on_event),
      workers_(config.workers), gathering_{linux_affinity(), workers_.threads()},
      tiers_(make_tier_factories(config)), services_{money_,
                                                     workers_,
                                                     events_,
                                                     tiers_,
                                                     config.spin,
                                                     tuning_of(config),
                                                     config.placement == thread_placement::gather
                                                         ? &gathering_
                                                         : nullptr} {
    for (std::string& name : tier_names(config))
        retired_.tiers.emplace_back().name = std::move(name);
}

// ---- regions ------------------------------------------------------------------------------------

region& manager::impl::add_region(const region_config& config) {
    const mutex_lock one_change(changes_);
    make_room(config);
    auto added = std::make_unique<managed_region>(config, services_, next_shard_);
    next_shard_ += config.shards;
    // Adopted memory may have brought more contents than there is room for. If no tier takes them,
    // an over_limit event has told so.
    if (money_.free() < 0)
        (void)added->run_on_all(command::kind::settle);
    const mutex_lock lock(regions_mutex_);
    regions_.push_back(std::move(added));
    return *regions_.back();
}

/// The new region's metadata must not push memory over the limit: other regions give way first.
void manager::impl::make_room(const region_config& config) {
    const byte_count metadata = metadata_of(config);
    const byte_count before = limit();
    const byte_count needed = metadata + config.shards * least_working_memory;
    const auto refuse = [&] {
        throw setup_error(errc::limit_too_small,
                          "limit: " + std::to_string(before) +
                              " bytes cannot hold the metadata of region \"" + config.name +
                              "\" (" + std::to_string(metadata) + " bytes) and " +
                              std::to_string(config.shards) +
                              " MiB to work in besides what is there; raise it to at least " +
                              std::to_string(host_memory() + needed));
    };
    if (needed > before)
        refuse();
    if (money_.free() >= static_cast<std::int64_t>(metadata))
        return;
    money_.set_limit(before - needed);
    const result<void> settled = settle();
    money_.set_limit(before);
    if (!settled)
        refuse();
}

managed_region* manager::impl::find(const region& r) {
    const mutex_lock lock(regions_mutex_);
    for (const auto& mine : regions_)
        if (mine.get() == &r)
            return mine.get();
    return nullptr;
}

result<void> manager::impl::remove_region(region& r, removal how) {
    const mutex_lock one_change(changes_);
    managed_region* const mine = find(r);
    if (mine == nullptr)
        return error{errc::not_found, 0, "remove_region: no region of this manager"};
    if (mine->in_migration())
        return error{errc::busy, 0, "remove_region: a migration of the region is under way"};
    if (how == removal::keep && missing_bytes_of(*mine) != 0)
        return error{errc::limit_too_small, 0,
                     "remove_region: keeping the contents would exceed the limit"};
    if (how != removal::drop)
        if (const result<void> in = mine->bring_in(); !in)
            return in;
    std::unique_ptr<managed_region> gone;
    {
        const mutex_lock lock(regions_mutex_);
        for (const auto& shard : mine->shards())
            add_counters(retired_, shard->engine());
        clear_amounts(retired_);
        const auto it = std::find_if(regions_.begin(), regions_.end(),
                                     [mine](const auto& p) { return p.get() == mine; });
        gone = std::move(*it);
        regions_.erase(it);
    }
    if (how != removal::drop)
        gone->leave_memory();
    return {};
}

byte_count manager::impl::missing_bytes(region& r) {
    const mutex_lock one_change(changes_);
    managed_region* const mine = find(r);
    return mine == nullptr ? 0 : missing_bytes_of(*mine);
}

/// Pages come in one by one and free their compressed copies, which are therefore not counted.
byte_count manager::impl::missing_bytes_of(managed_region& r) {
    const auto swapped = r.swapped_bytes();
    stats own;
    {
        const mutex_lock lock(regions_mutex_);
        own.tiers = retired_.tiers;
    }
    for (const auto& shard : r.shards())
        add_counters(own, shard->engine());
    const byte_count needed = host_memory() + (swapped ? swapped.value() : 0);
    const byte_count available = limit() + own.compressed_bytes;
    return needed > available ? needed - available : 0;
}

// ---- the limit ----------------------------------------------------------------------------------

/// Every shard brings its part of memory below the limit, or says that it cannot.
result<void> manager::impl::settle() {
    for (const auto& r : regions())
        if (const result<void> settled = r->run_on_all(command::kind::settle); !settled)
            return settled;
    return {};
}

/// A lower limit is approached in steps: memory over the limit makes every fault wait, so no step
/// asks for more than is reclaimed in some milliseconds.
result<void> manager::impl::set_limit(byte_count wanted) {
    const mutex_lock one_change(changes_);
    if (wanted < least_limit)
        return error{errc::invalid_argument, 0, "set_limit: the limit must be at least 4 MiB"};
    const byte_count before = limit();
    if (wanted >= before) {
        money_.set_limit(wanted);
        return {};
    }
    byte_count next = std::min(before, host_memory());
    do {
        next = std::max(wanted, next - std::min(next, limit_step));
        money_.set_limit(next);
        if (const result<void> settled = settle(); !settled) {
            money_.set_limit(before);
            return settled;
        }
    } while (next > wanted);
    return {};
}

result<void> manager::impl::wait_until_idle(std::chrono::milliseconds timeout) {
    const mutex_lock one_change(changes_);
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    for (const auto& r : regions())
        if (const result<void> idle = r->wait_until_idle(deadline); !idle)
            return idle;
    return {};
}

// ---- statistics ---------------------------------------------------------------------------------

byte_count manager::impl::host_memory() const {
    std::int64_t used = 0;
    const mutex_lock lock(regions_mutex_);
    for (const auto& r : regions_)
        for (const auto& shard : r->shards())
            used += shard->engine().money().used();
    return static_cast<byte_count>(std::max<std::int64_t>(used, 0));
}

stats manager::impl::statistics() const {
    const mutex_lock lock(regions_mutex_);
    stats sum = retired_;
    for (const auto& r : regions_) {
        sum.region_bytes += r->size();
        for (const auto& shard : r->shards())
            add_counters(sum, shard->engine());
    }
    sum.limit_bytes = limit();
    sum.peak_host_memory_bytes = static_cast<byte_count>(money_.peak());
    derive(sum);
    return sum;
}

// ---- the public face ----------------------------------------------------------------------------

manager::manager(const manager_config& config) {
    validate(config);
    impl_ = std::make_unique<impl>(config);
}
manager::~manager() = default;

region& manager::add_region(const region_config& config) {
    validate(config);
    return impl_->add_region(config);
}
result<void> manager::remove_region(region& r, removal how) {
    return impl_->remove_region(r, how);
}
byte_count manager::missing_bytes(region& r) {
    return impl_->missing_bytes(r);
}
result<void> manager::set_limit(byte_count limit) {
    return impl_->set_limit(limit);
}
byte_count manager::limit() const noexcept {
    return impl_->limit();
}
result<void> manager::wait_until_idle(std::chrono::milliseconds timeout) {
    return impl_->wait_until_idle(timeout);
}
stats manager::statistics() const {
    return impl_->statistics();
}

const char* version() noexcept {
    return UFFDMM_VERSION;
}

const char* to_string(residency state) noexcept {
    switch (state) {
    case residency::untouched:
        return "untouched";
    case residency::resident:
        return "resident";
    case residency::staged:
        return "staged";
    case residency::swapped:
        return "swapped";
    case residency::poisoned:
        return "poisoned";
    }
    return "unknown";
}

} // namespace uffdmm
