// SPDX-License-Identifier: BSD-3-Clause
#include "tier/shared/shared_volume.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "detail/signals_blocked.hpp"

namespace uffdmm {
namespace {

constexpr int tend_interval_ms = 2000;
/// Rounds of the keeper between looks at the volume's record, and at the whole store.
constexpr unsigned rounds_between_looks = 5;
constexpr unsigned rounds_between_surveys = 60;

/// Where slots are; whole extents are given back, by the keeper.
class store_of_volume final : public slot_store {
  public:
    explicit store_of_volume(const store_geometry& g) {
        set_slots(std::make_unique<extent_pool>(g.slots, g.extent_shift), g.data_offset());
    }
    [[nodiscard]] bool discards() const noexcept override { return false; }
    void discard(slot_run) noexcept override {}
};

/// 64 MiB, and less of a small store, so that others find something too.
std::uint32_t batch_for(const store_geometry& g) {
    return std::clamp(g.extents() / 32, 1u, 16u);
}

/// What no caller could do anything about: memory for a list of extents.
template <typename Call>
auto without_exceptions(Call&& call) noexcept -> decltype(call()) {
    try {
        return call();
    } catch (const std::exception&) {
        return error{errc::no_memory, ENOMEM, "shared store"};
    }
}

} // namespace

shared_volume::shared_volume(const file_tier_config& config, std::unique_ptr<pages_apart> apart)
    : apart_(std::move(apart)), table_(config, apart_.get()),
      store_(std::make_shared<store_of_volume>(table_.file().geometry())), pool_(store_->extents()),
      adopted_(pool_), leases_(pool_), punches_(config.discard && !config.preallocate),
      batch_(batch_for(table_.file().geometry())), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wake_)
        throw setup_error(errc::system, std::string("eventfd: ") + ::strerrordesc_np(errno), errno);
    const auto opened = table_.open_volume(config.name);
    if (!opened) {
        const error e = opened.failure();
        throw setup_error(e.code,
                          "tiers[].path (\"" + config.path + "\"): " + e.operation + ": " +
                              (e.os_errno != 0 ? ::strerrordesc_np(e.os_errno) : to_string(e.code)),
                          e.os_errno);
    }
    name_ = opened.value();
    tend(); // the first extents, before anybody wants them
    const signals_blocked none;
    keeper_ = std::thread([this] { keep_tending(); });
    ::pthread_setname_np(keeper_.native_handle(), "uffdmm-store");
}

shared_volume::~shared_volume() {
    stopping_.store(true, std::memory_order_relaxed); // the eventfd publishes it
    wake_keeper();
    keeper_.join();
    // What fails leaves a volume without a living holder, for reclaim() of another.
    (void)without_exceptions([this] { return table_.close(); });
}

// ---- extents ------------------------------------------------------------------------------------

void shared_volume::extent_taken() noexcept {
    if (pool_.free_extents() < (batch_ + 1) / 2 && !store_full_.load(std::memory_order_relaxed) &&
        !woken_.exchange(true, std::memory_order_acq_rel))
        wake_keeper();
}

void shared_volume::wake_keeper() noexcept {
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
}

void shared_volume::keep_tending() noexcept {
    while (!stopping_.load(std::memory_order_relaxed)) {
        pollfd readable{wake_.get(), POLLIN, 0};
        (void)::poll(&readable, 1, tend_interval_ms);
        std::uint64_t signals = 0;
        (void)!::read(wake_.get(), &signals, sizeof signals);
        woken_.store(false, std::memory_order_release);
        if (!stopping_.load(std::memory_order_relaxed))
            tend();
    }
}

void shared_volume::tend() noexcept {
    const mutex_lock lock(changes_);
    if (lost_ || offered_)
        return;
    try {
        if (table_.unsettled())
            settle();
        const std::uint32_t free = pool_.free_extents();
        if (free < batch_)
            claim(batch_ - free);
        else if (free > 2 * batch_)
            give_back(free - batch_);
        if (rounds_ % rounds_between_looks == 0)
            look_at_volume();
        if (rounds_++ % rounds_between_surveys == 0)
            if (const auto all = table_.look())
                left_in_store_.store(all.value().free_extents, std::memory_order_relaxed);
    } catch (const std::exception&) {
        // Out of memory: the next round tries again.
    }
}

void shared_volume::claim(std::uint32_t wanted) {
    auto grants = table_.claim(wanted);
    if (grants && grants.value().size() < wanted) {
        // The store is full, or so it seems: what dead hosts hold is for the taking.
        const auto freed = table_.reclaim();
        if (freed && freed.value().extents != 0)
            if (const auto more =
                    table_.claim(wanted - static_cast<std::uint32_t>(grants.value().size())))
                grants.value().insert(grants.value().end(), more.value().begin(),
                                      more.value().end());
    }
    if (!grants) {
        if (grants.code() == errc::wrong_state)
            look_at_volume();
        return;
    }
    store_full_.store(grants.value().size() < wanted, std::memory_order_relaxed);
    if (grants.value().size() < wanted)
        left_in_store_.store(0, std::memory_order_relaxed);
    for (const extent_grant& grant : grants.value())
        if (adopted_.make_own(grant.extent))
            pool_.grant(grant.extent, grant.generation);
}

void shared_volume::give_back(std::uint32_t surplus) {
    std::vector<std::uint32_t> extents;
    extents.reserve(surplus);
    while (extents.size() < surplus) {
        const std::uint32_t extent = pool_.withdraw();
        if (extent == no_extent)
            break;
        pool_.forget_generation(extent);
        extents.push_back(extent);
    }
    const auto given = table_.give_back(extents, punches_);
    for (const std::uint32_t extent : extents)
        adopted_.give_up_own(extent);
    if (!given && given.code() == errc::wrong_state)
        look_at_volume();
}

/// Fencing: after the volume was freed by force nothing is written any more.
void shared_volume::look_at_volume() {
    const auto now = table_.outcome();
    if (now && now.value() == handover::given) {
        lost_ = true;
        gate_.shut();
    }
}

// ---- the source of a handover -------------------------------------------------------------------

result<void> shared_volume::offer(const handover_nonce& nonce, bool keep) noexcept {
    return without_exceptions([&]() -> result<void> {
        const mutex_lock lock(changes_);
        if (lost_)
            return error{errc::wrong_state, 0, "offer: the volume is not this manager's any more"};
        if (offered_)
            return error{errc::wrong_state, 0, "offer: the volume is offered already"};
        if (table_.unsettled())
            settle();
        gate_.close();
        // Before the record says that others may read them.
        const auto durable = apart_ != nullptr ? apart_->sync() : result<void>{};
        const auto offered = durable ? table_.offer(nonce, keep) : durable;
        const auto now = offered ? result<handover>(handover::offered) : table_.outcome();
        if (now && now.value() == handover::own) // surely not offered
            gate_.open();
        else
            offered_ = true;
        return offered;
    });
}

result<void> shared_volume::cancel() noexcept {
    return without_exceptions([&]() -> result<void> {
        const mutex_lock lock(changes_);
        const auto cancelled = table_.cancel();
        if (cancelled && !lost_) {
            offered_ = false;
            gate_.open();
        }
        return cancelled;
    });
}

result<handover> shared_volume::outcome() noexcept {
    return without_exceptions([&] { return table_.outcome(); });
}

// ---- the destination ----------------------------------------------------------------------------

result<void> shared_volume::attach(const volume_name& source) noexcept {
    return without_exceptions([&]() -> result<void> {
        const mutex_lock lock(changes_);
        if (table_.unsettled())
            settle();
        const auto done = table_.attach(source);
        if (done)
            attached_.store(true, std::memory_order_relaxed);
        return done;
    });
}

result<void> shared_volume::accept(const handover_nonce& nonce) noexcept {
    return without_exceptions([&]() -> result<void> {
        const mutex_lock lock(changes_);
        const auto accepted = table_.accept(
            nonce, [this](std::uint32_t extent, const extent_entry& entry, bool of_source) {
                return adopted_.fits(extent, entry, of_source);
            });
        if (!accepted)
            return accepted;
        attached_.store(false, std::memory_order_relaxed);
        adopted_.accept();
        settle();
        return {};
    });
}

/// The volume is owned already; what fails here is repeated by the keeper.
void shared_volume::settle() {
    (void)table_.settle([this](std::uint32_t extent) { return adopted_.needed(extent); });
}

result<void> shared_volume::detach() noexcept {
    return without_exceptions([&]() -> result<void> {
        const mutex_lock lock(changes_);
        if (!attached())
            return error{errc::wrong_state, 0, "detach: no volume is attached"};
        if (adopted_.any_foreign_live())
            return error{errc::wrong_state, 0, "detach: pages adopted from it are still there"};
        attached_.store(false, std::memory_order_relaxed);
        adopted_.forget_foreign();
        table_.detach();
        return {};
    });
}

} // namespace uffdmm
