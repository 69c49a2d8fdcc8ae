// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The swap tier interface: derive from swap_tier to add a level to the swap hierarchy.
///
/// Every shard has its own tier objects, made by a tier_factory, and makes every call from its own
/// thread: a tier needs no locks unless its instances share something (a file, a quota, a server).
/// A tier may finish a request inside the call, or later from poll(). It must never touch
/// guest memory and must never block for long: a fault may be waiting behind the call.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "uffdmm/export.hpp"
#include "uffdmm/location.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

class executor;
class mailbox;
class shared_store;

/// How a request ended.
enum class tier_status : std::uint8_t {
    pending,  ///< not finished yet
    ok,       ///< done
    rejected, ///< store: such contents are not for this tier (incompressible): try the next one
    full,     ///< store: no room: try the next one
    failed,   ///< I/O error; a load may be tried again
    corrupt,  ///< load: checksum or generation does not match; trying again is useless
    busy      ///< store: not now, though it may be another time: try the next one
};

/// Store one page. Owned by the caller, who keeps it and `contents` alive and unchanged until the
/// tier has called tier_client::store_done for it.
struct store_request {
    const std::byte* contents = nullptr; ///< page_size bytes, page-aligned, never guest memory
    std::uint64_t owner = 0;             ///< page number; neighbours should get adjacent slots
    slot_id slot = no_slot;              ///< out: where the page is, if status is ok
    tier_status status = tier_status::pending; ///< out
    void* tier_data = nullptr;                 ///< scratch for the tier while it holds the request
};

/// Load one page. Same ownership rule, with tier_client::load_done.
struct load_request {
    slot_id slot = no_slot;
    std::byte* destination = nullptr; ///< page_size bytes, page-aligned, never guest memory
    tier_status status = tier_status::pending; ///< out
    void* tier_data = nullptr;
};

/// Told when requests end: exactly once per request, on the shard thread, either inside store() /
/// load() or inside poll(). The request may be reused from within the call.
class UFFDMM_CXX_API tier_client {
  public:
    virtual void store_done(store_request& request) noexcept = 0;
    virtual void load_done(load_request& request) noexcept = 0;

  protected:
    ~tier_client() = default;
};

enum class tier_latency : std::uint8_t { memory, local, remote };

/// What does not change during a tier's life.
struct tier_traits {
    std::string name; ///< as configured; appears in stats and messages
    tier_latency latency = tier_latency::memory;
    bool synchronous_load = true;  ///< load() always finishes inside the call: the shard resolves
                                   ///< faults in place
    bool counts_in_limit = false;  ///< usage().memory_bytes grows with what is stored
    bool shared = false;           ///< information only: what counts is do_shared()
    bool keeps_cold_order = false; ///< coldest() works: pages are demoted, if loads are synchronous
                                   ///< and usage().capacity_bytes is not 0
};

/// What a tier holds now. Bytes are host memory or storage really taken, overhead included.
struct tier_usage {
    std::uint64_t pages = 0;
    byte_count stored_bytes = 0;   ///< payload after compression
    byte_count occupied_bytes = 0; ///< storage taken on the medium (memory or disk)
    byte_count memory_bytes = 0;   ///< host memory taken, metadata included
    byte_count capacity_bytes = 0; ///< most that occupied_bytes may become
};

/// A slot that is a candidate for demotion, with the owner it was stored for.
struct cold_slot {
    slot_id slot;
    std::uint64_t owner = 0;
};

class UFFDMM_CXX_API swap_tier {
  public:
    swap_tier(const swap_tier&) = delete;
    swap_tier& operator=(const swap_tier&) = delete;
    virtual ~swap_tier() = default;

    [[nodiscard]] const tier_traits& traits() const noexcept { return traits_; }

    /// Stores each request's page. Requests come sorted by owner where that is possible.
    void store(std::span<store_request* const> requests, tier_client& client) noexcept {
        do_store(requests, client);
    }
    /// Loads each request's page. Requests whose slots and destinations are both consecutive
    /// should become one I/O.
    void load(std::span<load_request* const> requests, tier_client& client) noexcept {
        do_load(requests, client);
    }
    /// Frees a slot. Never called while a request on the slot is pending.
    void release(slot_id slot) noexcept { do_release(slot); }
    /// Finishes what has come back. Called when event_fd() is readable, and now and then.
    void poll(tier_client& client) noexcept { do_poll(client); }
    /// Descriptor that becomes readable when poll() has something to do, or -1.
    [[nodiscard]] int event_fd() const noexcept { return do_event_fd(); }
    [[nodiscard]] tier_usage usage() const noexcept { return do_usage(); }
    /// False while the storage cannot be reached: stores fail at once, and loads end when it is
    /// back or given up. Asked of tiers with latency `remote` only, every now and then; a change
    /// also makes event_fd() readable.
    [[nodiscard]] bool reachable() const noexcept { return do_reachable(); }
    /// Fills `out` with the slots stored longest ago, oldest first; returns how many.
    [[nodiscard]] std::size_t coldest(std::span<cold_slot> out) noexcept { return do_coldest(out); }

    // ---- slots that other hosts can read; all cheap, none waits for I/O ----

    /// The store that other hosts read too, where its volume is handed over; nullptr if there is
    /// none: then locate() and adopt() answer not_supported, and identity() is none. The same for
    /// all shards of a manager. Any thread.
    [[nodiscard]] shared_store* shared() const noexcept { return do_shared(); }
    [[nodiscard]] store_id identity() const noexcept { return do_identity(); }
    /// Where a slot's contents are, for another host, and leases the slot: from now on release()
    /// keeps the contents where they are, until end_leases(). May be called again for the slot.
    /// wrong_state: it was adopted, and its volume is not accepted yet.
    [[nodiscard]] result<location> locate(slot_id slot) noexcept { return do_locate(slot); }
    /// No other host needs what locate() has named: a migration was cancelled. Slots that were
    /// released meanwhile become free, little by little, in poll().
    void end_leases() noexcept { do_end_leases(); }
    /// A slot whose contents another host has stored. It can be loaded and released like one of the
    /// own, and is verified like one; before the volume is accepted, releasing it forgets it and
    /// frees nothing. `owner` as in store_request. not_found: another store, or outside of it;
    /// wrong_state: no volume is attached; invalid_argument: adopted already; corrupt: contradicts
    /// another location in the same extent.
    [[nodiscard]] result<slot_id> adopt(const location& place, std::uint64_t owner) noexcept {
        return do_adopt(place, owner);
    }

  protected:
    explicit swap_tier(tier_traits traits) : traits_(std::move(traits)) {}

    virtual void do_store(std::span<store_request* const>, tier_client&) noexcept = 0;
    virtual void do_load(std::span<load_request* const>, tier_client&) noexcept = 0;
    virtual void do_release(slot_id) noexcept = 0;
    virtual void do_poll(tier_client&) noexcept {}
    [[nodiscard]] virtual int do_event_fd() const noexcept { return -1; }
    [[nodiscard]] virtual tier_usage do_usage() const noexcept = 0;
    [[nodiscard]] virtual bool do_reachable() const noexcept { return true; }
    [[nodiscard]] virtual std::size_t do_coldest(std::span<cold_slot>) noexcept { return 0; }
    [[nodiscard]] virtual shared_store* do_shared() const noexcept { return nullptr; }
    [[nodiscard]] virtual store_id do_identity() const noexcept { return {}; }
    [[nodiscard]] virtual result<location> do_locate(slot_id) noexcept {
        return error{errc::not_supported, 0, "locate: no other host can read this tier"};
    }
    virtual void do_end_leases() noexcept {}
    [[nodiscard]] virtual result<slot_id> do_adopt(const location&, std::uint64_t) noexcept {
        return error{errc::not_supported, 0, "adopt: this tier has no store of other hosts"};
    }

  private:
    tier_traits traits_;
};

/// What a tier may use; valid as long as the tier lives.
struct tier_context {
    executor& workers;      ///< does what would hold faults up: in spare time, or on threads
    mailbox& home;          ///< where jobs come back to the shard thread
    page_count shard_pages; ///< size of the shard's slice
    unsigned shard_number;  ///< unique within the manager
};

/// Makes one tier object per shard. Throws setup_error.
using tier_factory = std::function<std::unique_ptr<swap_tier>(const tier_context&)>;

} // namespace uffdmm
