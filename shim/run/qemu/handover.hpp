// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Whose the volume is that the guest's swapped pages are in, and so who may run the guest:
///
///     source                        stream                     destination
///     announce()   ── volume, nonce ─────────────► attach()    or the migration ends here
///                  ── locations ─────────────────►
///     offer()      ── offered ───────────────────► received()
///     take_over()  before the guest runs on either side: one of the two succeeds, whatever
///                  became of the other process and of the connection
///
/// All calls under QEMU's big lock.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "uffdmm/shared_store.hpp"

namespace preload::qemu {

class handover {
  public:
    enum class side : std::uint8_t {
        ours,
        offered,   ///< source: the destination may have accepted it
        announced, ///< destination: still the source's, locations arrive
        received   ///< destination: the source has offered it
    };

    [[nodiscard]] side now() const noexcept { return now_; }
    [[nodiscard]] const uffdmm::handover_nonce& nonce() const noexcept { return nonce_; }

    // Each gives "" or what went wrong.

    /// A nonce for a new migration away.
    [[nodiscard]] std::string announce(uffdmm::shared_store& store);
    [[nodiscard]] std::string offer();
    [[nodiscard]] std::string attach(uffdmm::shared_store& store, const uffdmm::volume_name& volume,
                                     const uffdmm::handover_nonce& nonce);
    void received() noexcept { now_ = side::received; }
    /// The guest may run here afterwards. Leases end where it was taken back: `end_leases`.
    [[nodiscard]] std::string take_over(void (*end_leases)());
    /// Destination: gives up. All that was adopted has been discarded.
    void abandon() noexcept;

  private:
    [[nodiscard]] std::string take_back(void (*end_leases)());
    [[nodiscard]] std::string accept();

    side now_ = side::ours;
    uffdmm::shared_store* store_ = nullptr;
    uffdmm::handover_nonce nonce_{};
};

} // namespace preload::qemu
