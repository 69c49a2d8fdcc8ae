// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Who owns what in a shared store: the state machine of volumes, and extents that go from the
/// store to a volume and back. Everything here is on the medium; shared_volume.hpp has what a
/// manager keeps in memory.
///
///                  open_volume               offer(nonce)
///       ┌──────┐ ─────────────► ┌────────┐ ─────────────► ┌───────────┐
///       │ free │                │ held   │                │ offered   │
///       └──────┘ ◄───────────── │ by A   │ ◄───────────── │ by A      │
///           ▲     close (A),    └────────┘   cancel (A)   └───────────┘
///           │     reclaim (A and its readers are dead)          │ accept(nonce) (B)
///           │                                                   ▼
///           │      close (B), reclaim,                     ┌────────┐
///           └───── settle (B): its extents are in B's ──── │ held   │
///                  own volume                              │ by B   │
///                                                          └────────┘
///
/// Each arrow is one write of one sector, made durable, under the table's lock. Before `held` the
/// extents of the volume are nobody's; they become nobody's again before `free` is written: a
/// process that ends at any point leaves a volume whose holder is dead, which reclaim() finds.
/// An offered volume with `keep` is not reclaimed.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tier/shared/format.hpp"
#include "tier/shared/store_file.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/detail/mutex.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/shared_store.hpp"

namespace uffdmm {

inline constexpr std::uint32_t no_volume = UINT32_MAX;

/// An extent that the volume has got, and the generation under which it has it.
struct extent_grant {
    std::uint32_t extent = 0;
    std::uint64_t generation = 0;
};

/// What the store has left, as of the last look at all of it.
struct reclaimed {
    std::uint32_t volumes = 0;
    std::uint32_t extents = 0;
};

/// All calls from any thread but a shard's: they wait for I/O and other hosts.
class volume_table {
  public:
    /// Throws setup_error.
    explicit volume_table(const file_tier_config& config, pages_apart* apart = nullptr)
        : file_(config, apart) {}
    explicit volume_table(const std::string& path) : file_(path) {}
    volume_table(const volume_table&) = delete;
    volume_table& operator=(const volume_table&) = delete;

    /// Descriptor, id and geometry do not change; the rest is this class's.
    [[nodiscard]] const store_file& file() const noexcept { return file_; }
    /// Called before and after each write; tests end the process there.
    void on_step(std::function<void(std::string_view)> hook) {
        const mutex_lock one(calls_);
        file_.on_step = std::move(hook);
    }

    /// Frees what dead holders have left, then takes a free volume. busy: all are in use.
    [[nodiscard]] result<volume_name> open_volume(const std::string& label);
    /// Frees the volume and those not settled. Nothing that is offered, or not this one's.
    [[nodiscard]] result<void> close();

    /// Up to `wanted` extents of nobody for this volume; fewer, or none, if the store has no more.
    /// wrong_state: the volume is not held any more.
    [[nodiscard]] result<std::vector<extent_grant>> claim(std::uint32_t wanted);
    /// `extents` are this volume's, and nothing reads or writes them any more.
    [[nodiscard]] result<void> give_back(std::span<const std::uint32_t> extents, bool punch);

    [[nodiscard]] result<void> offer(const handover_nonce& nonce, bool keep);
    [[nodiscard]] result<void> cancel();
    [[nodiscard]] result<handover> outcome();

    [[nodiscard]] result<void> attach(const volume_name& source);
    /// The attached volume becomes this holder's; nothing else changes. `fits` says of each extent
    /// whether what was adopted from it, if anything, was its owner's.
    using extent_check =
        std::function<bool(std::uint32_t extent, const extent_entry& entry, bool of_source)>;
    [[nodiscard]] result<void> accept(const handover_nonce& nonce, const extent_check& fits);
    /// After accept(): extents that are `needed` go to the own volume, others to nobody; then the
    /// accepted volume is free. Can be repeated where it failed.
    [[nodiscard]] result<void> settle(const std::function<bool(std::uint32_t extent)>& needed);
    void detach() noexcept;
    [[nodiscard]] bool attached() const;
    [[nodiscard]] bool unsettled() const;

    /// Frees volumes whose holder and readers are dead, and extents of free volumes. With `force`
    /// also the volume of that number whatever its state, unless its holder or a reader lives.
    [[nodiscard]] result<reclaimed> reclaim(std::uint32_t force = no_volume);

    struct volume_info {
        std::uint32_t number = 0;
        volume_record record;
        bool damaged = false;
        bool alive = false; ///< its holder
        bool read = false;  ///< somebody is attached
        std::uint32_t extents = 0;
    };
    struct survey {
        std::vector<volume_info> volumes; ///< that are not free, or damaged
        std::uint32_t free_extents = 0;
        std::uint32_t stray_extents = 0; ///< of a volume that is free
        std::uint32_t damaged_entries = 0;
    };
    [[nodiscard]] result<survey> look();

  private:
    class table_lock;

    [[nodiscard]] result<volume_record> own_record() UFFDMM_REQUIRES(calls_);
    [[nodiscard]] result<void> require_held() UFFDMM_REQUIRES(calls_);
    [[nodiscard]] result<void> free_volume(std::uint32_t volume) UFFDMM_REQUIRES(calls_);
    [[nodiscard]] result<reclaimed> reclaim_locked(std::uint32_t force) UFFDMM_REQUIRES(calls_);
    [[nodiscard]] result<bool> is_dead(std::uint32_t volume, const volume_record& record,
                                       std::uint32_t force) UFFDMM_REQUIRES(calls_);
    [[nodiscard]] result<void> take_free_volume(const std::string& label) UFFDMM_REQUIRES(calls_);

    mutable mutex calls_; ///< one call at a time; held while it waits for other hosts
    store_file file_;
    holder_id me_{};
    std::uint32_t own_ UFFDMM_GUARDED_BY(calls_) = no_volume;
    std::uint64_t generation_ UFFDMM_GUARDED_BY(calls_) = 0;
    volume_name attached_ UFFDMM_GUARDED_BY(calls_){{}, no_volume, 0};
    std::uint32_t unsettled_ UFFDMM_GUARDED_BY(calls_) = no_volume;
    std::uint32_t next_extent_ UFFDMM_GUARDED_BY(calls_) = 0; ///< where claim() looks first
};

} // namespace uffdmm
