// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A store that several hosts read, as one manager sees it, and how what a VM has stored there
/// passes to another manager, as a whole, without being copied.
///
/// Each manager has a volume of its own in the store: it alone writes and frees what is in it.
/// Ownership of a volume passes in one durable write that either happens or does not:
///
///     source                          store                       destination
///     swap_tier::locate() ─ location ──────────────────────────► attach(), then
///       (leases the slot)            volume: held by source       swap_tier::adopt()
///     guest stops                                                  (reads only)
///     offer(nonce) ─────────────────► offered ── nonce ──────────►
///                                    held by destination ◄──────── accept(nonce)
///     outcome() ────────────────────► given                        guest starts
///
///     cancel() instead, any time:     offered ─► held by source    accept() is refused
///
/// Whoever asks the store, after whatever crash, finds exactly one owner: the source until
/// accept() has returned, or could have, the destination from then on. While a volume is offered
/// nobody writes to it. A source that does not know how a handover ended asks outcome() or
/// cancel(), and lets its guest run only if these say that the volume is its own.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "uffdmm/export.hpp"
#include "uffdmm/location.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {

/// One manager's part of a store, in its present hands. Its wire form is sent before the first
/// location, for attach().
struct volume_name {
    store_id store;
    std::uint32_t number = 0;
    std::uint64_t generation = 0; ///< another one each time the volume is given out; never 0

    friend bool operator==(const volume_name&, const volume_name&) = default;
};

/// Little-endian: version u8, three bytes 0, number u32, generation u64, store id 16 bytes.
inline constexpr std::uint8_t volume_name_version = 1;
inline constexpr std::size_t volume_name_bytes = 32;
using encoded_volume_name = std::array<std::byte, volume_name_bytes>;

[[nodiscard]] UFFDMM_CXX_API encoded_volume_name encode(const volume_name& name) noexcept;
/// Takes any bytes. invalid_argument: another length, or a field that no name has; not_supported:
/// another version.
[[nodiscard]] UFFDMM_CXX_API result<volume_name>
decode_volume_name(std::span<const std::byte> bytes) noexcept;

/// Random; names one offer, so that only the destination it was meant for can accept it.
using handover_nonce = std::array<std::uint8_t, 16>;

/// Who owns a volume that was offered.
enum class handover : std::uint8_t {
    own,     ///< never offered, or cancelled: this manager
    offered, ///< nobody has accepted it yet; cancel() makes it this manager's again
    given    ///< another manager, for good: this one must not let its guest run
};

/// Owner: the manager whose tier gives it (swap_tier::shared()); lives as long as the manager. All
/// calls from any thread but a shard's: they wait for I/O and for other hosts. Errors leave
/// everything as it was; io_error may come from a write that has happened all the same, which
/// outcome() finds out.
class UFFDMM_CXX_API shared_store {
  public:
    shared_store(const shared_store&) = delete;
    shared_store& operator=(const shared_store&) = delete;
    virtual ~shared_store() = default;

    [[nodiscard]] virtual store_id id() const noexcept = 0;
    /// What this manager stores in.
    [[nodiscard]] virtual volume_name volume() const noexcept = 0;

    // ---- source ----

    /// Offers the volume to whoever has the nonce, with what all regions of the manager have in it:
    /// what the destination has not adopted is lost. The guest must be stopped and everything that
    /// the destination does not have yet must be in its slot. Waits until writes under way have
    /// ended; from then on stores are rejected and nothing is freed. With `keep` the volume waits
    /// for its acceptance without a living owner (a saved VM), until it is freed by hand.
    /// wrong_state: it is offered already, or is not this manager's any more.
    [[nodiscard]] virtual result<void> offer(const handover_nonce& nonce, bool keep) noexcept = 0;
    /// Takes the offer back, and lets stores go on. Succeeds without an offer too. wrong_state: it
    /// was accepted, the destination goes on.
    [[nodiscard]] virtual result<void> cancel() noexcept = 0;
    /// What the store says now.
    [[nodiscard]] virtual result<handover> outcome() noexcept = 0;

    // ---- destination ----

    /// Lets adopt() take locations in `source`, whose owner may go on using it, and keeps the
    /// volume from being freed by others while it is attached. not_found: another store, or no such
    /// volume any more; busy: another volume is attached; invalid_argument: the own one.
    [[nodiscard]] virtual result<void> attach(const volume_name& source) noexcept = 0;
    /// Makes the attached volume this manager's own: what was adopted stays, everything else in it
    /// is free. To be called last, when nothing can fail any more before the guest runs.
    /// wrong_state: nothing is attached, or the volume is not offered; permission_denied: it is,
    /// with another nonce; corrupt: an adopted location was never in it.
    [[nodiscard]] virtual result<void> accept(const handover_nonce& nonce) noexcept = 0;
    /// Gives the attached volume up: a migration has failed. wrong_state: it was accepted, or pages
    /// adopted from it have not been released.
    [[nodiscard]] virtual result<void> detach() noexcept = 0;

  protected:
    shared_store() = default;
};

} // namespace uffdmm
