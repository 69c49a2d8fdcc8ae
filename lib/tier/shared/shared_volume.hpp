// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A manager's volume in a shared store, for all its shards: extents that are claimed ahead of need
/// on a thread of its own, since claiming waits for other hosts; what was adopted; what is leased;
/// and the gate that is closed while the volume is offered.
///
///     shard ── take() ──► extent_pool ◄── grant ── keeper ◄── claim ── store
///       └───── pool_is_low() ─────────────────────► wakes
///
/// The keeper also looks now and then whether the volume is still this manager's: if it was freed
/// by force, because its host was thought dead, stores end there.

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "kernel/file_descriptor.hpp"
#include "tier/file/slot_store.hpp"
#include "tier/shared/adopted_slots.hpp"
#include "tier/shared/pages_apart.hpp"
#include "tier/shared/slot_leases.hpp"
#include "tier/shared/volume_table.hpp"
#include "tier/shared/write_gate.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/detail/mutex.hpp"
#include "uffdmm/location.hpp"
#include "uffdmm/shared_store.hpp"

namespace uffdmm {

/// Owner: the file tiers of a manager, together.
class shared_volume final : public shared_store {
  public:
    /// Opens the store and takes a volume in it. `apart`: where its pages are, if not in its file.
    /// Throws setup_error naming the key.
    explicit shared_volume(const file_tier_config& config,
                           std::unique_ptr<pages_apart> apart = nullptr);
    /// Waits for other hosts. What is offered stays offered.
    ~shared_volume() override;

    [[nodiscard]] const std::shared_ptr<slot_store>& store() const noexcept { return store_; }
    /// What I/O on the slots is done on, if they are in the file. Lives as long as this.
    [[nodiscard]] int fd() const noexcept { return table_.file().fd(); }
    [[nodiscard]] adopted_slots& adopted() noexcept { return adopted_; }
    [[nodiscard]] slot_leases& leases() noexcept { return leases_; }
    [[nodiscard]] write_gate& gate() noexcept { return gate_; }
    /// Of the locations of its pages.
    [[nodiscard]] location_kind kind() const noexcept {
        return apart_ != nullptr ? location_kind::network_block_device : location_kind::shared_file;
    }
    /// Shard threads: whether adopt() may be called.
    [[nodiscard]] bool attached() const noexcept {
        return attached_.load(std::memory_order_relaxed);
    }
    /// Shard threads: an extent was taken; wakes the keeper if there are few left.
    void extent_taken() noexcept;
    /// Extents that the store had for anybody when it was last looked at.
    [[nodiscard]] std::uint32_t left_in_store() const noexcept {
        return left_in_store_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] volume_table& table() noexcept { return table_; }
    /// The keeper's work, once; it does the same when it is woken.
    void tend() noexcept;

    [[nodiscard]] store_id id() const noexcept override { return table_.file().header().id; }
    [[nodiscard]] volume_name volume() const noexcept override { return name_; }
    [[nodiscard]] result<void> offer(const handover_nonce& nonce, bool keep) noexcept override;
    [[nodiscard]] result<void> cancel() noexcept override;
    [[nodiscard]] result<handover> outcome() noexcept override;
    [[nodiscard]] result<void> attach(const volume_name& source) noexcept override;
    [[nodiscard]] result<void> accept(const handover_nonce& nonce) noexcept override;
    [[nodiscard]] result<void> detach() noexcept override;

  private:
    void settle() UFFDMM_REQUIRES(changes_);
    void claim(std::uint32_t wanted) UFFDMM_REQUIRES(changes_);
    void give_back(std::uint32_t surplus) UFFDMM_REQUIRES(changes_);
    void look_at_volume() UFFDMM_REQUIRES(changes_);
    void keep_tending() noexcept;
    void wake_keeper() noexcept;

    std::unique_ptr<pages_apart> apart_;
    volume_table table_;
    std::shared_ptr<slot_store> store_;
    extent_pool& pool_;
    adopted_slots adopted_;
    slot_leases leases_;
    write_gate gate_;
    volume_name name_;
    bool punches_;
    std::uint32_t batch_; ///< extents in the pool that are aimed at
    file_descriptor wake_;
    std::atomic<bool> woken_{false}; ///< wake_ was written and not read
    std::atomic<bool> stopping_{false};
    std::atomic<bool> store_full_{false}; ///< the last claim came up short: no use in waking
    std::atomic<bool> attached_{false};
    std::atomic<std::uint32_t> left_in_store_{0};

    mutex changes_; ///< one change of the volume at a time; held while it waits for other hosts
    bool offered_ UFFDMM_GUARDED_BY(changes_) = false;
    bool lost_ UFFDMM_GUARDED_BY(changes_) = false;
    unsigned rounds_ UFFDMM_GUARDED_BY(changes_) = 0;
    std::thread keeper_; ///< last: uses all the others
};

} // namespace uffdmm
