// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What an embedder uses: a manager holds the budget and the tiers, regions are ranges of guest
/// RAM. All calls may come from any thread that does not hold a lock a faulting thread could need,
/// and must not come from an event handler. Calls wait until the shard threads have done the work.

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "uffdmm/config.hpp"
#include "uffdmm/engine/page_entry.hpp"
#include "uffdmm/export.hpp"
#include "uffdmm/migration.hpp"
#include "uffdmm/residency.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/shared_store.hpp"
#include "uffdmm/snapshot.hpp"
#include "uffdmm/stats.hpp"

namespace uffdmm {

struct residency_run {
    byte_count offset = 0; ///< in the region
    byte_count length = 0;
    residency state = residency::untouched;
    tier_number tier = 0; ///< index in stats().tiers, for swapped
};

/// What becomes of the contents when a region is removed.
enum class removal : std::uint8_t {
    keep, ///< swap everything in and leave plain memory, which is the caller's from then on, memory
          ///< allocated here too; refused (limit_too_small) if that would exceed the limit
    keep_over_limit, ///< the same, whatever memory it takes
    drop             ///< contents are no longer wanted
};

/// A range of managed memory. Made by manager::add_region; ends with manager::remove_region() or
/// with the manager. Offsets and lengths are bytes, multiples of 4096, inside the region (else
/// invalid_argument).
class UFFDMM_CXX_API region {
  public:
    region(const region&) = delete;
    region& operator=(const region&) = delete;
    virtual ~region() = default;

    [[nodiscard]] virtual const std::string& name() const noexcept = 0;
    [[nodiscard]] virtual std::byte* data() const noexcept = 0; ///< first byte, host virtual
    [[nodiscard]] virtual byte_count size() const noexcept = 0;

    /// The contents are dead: reads give zeros from now on, memory and slots are freed. busy if a
    /// page of the range is pinned, and then nothing is discarded: the device behind the pin would
    /// go on using a page that the guest no longer sees. (QEMU forbids discards altogether while
    /// such a device is there: ram_block_discard_disable.) The library cannot refuse a madvise of
    /// the embedder's own: it takes pinned pages with it, and they come back as zeros when touched.
    virtual result<void> discard(byte_count offset, byte_count length) = 0;
    /// Brings the range in and keeps it resident until as many unpins. Needed where a device or
    /// the kernel writes without faulting. limit_too_small if more would be pinned than the limit
    /// can hold; poisoned if a page's contents are lost. Nothing stays pinned on failure.
    virtual result<void> pin(byte_count offset, byte_count length) = 0;
    virtual result<void> unpin(byte_count offset, byte_count length) = 0;
    /// Runs of equal state covering the range, in order. Touches no guest memory.
    virtual result<std::vector<residency_run>> query(byte_count offset, byte_count length) = 0;
    /// Hint: starts bringing swapped pages in, as far as free memory goes. Does not wait.
    virtual result<void> prefetch(byte_count offset, byte_count length) = 0;
    /// Takes the range out of memory down to a tier; waits for it. Gives the number of bytes that
    /// left memory (pinned and busy pages stay).
    virtual result<byte_count> evict(byte_count offset, byte_count length) = 0;

    /// Begins to read the region for a migration, a snapshot or a dump. busy if somebody is at it.
    virtual result<std::unique_ptr<migration_source>>
    begin_source(const migration_source_options& options) = 0;
    /// Begins to fill the region from elsewhere.
    virtual result<std::unique_ptr<migration_target>> begin_target() = 0;
    /// The store of the first tier that other hosts read, for the handover of what is swapped
    /// there; nullptr if there is none. Lives as long as the region.
    [[nodiscard]] virtual shared_store* store() const noexcept = 0;

    /// Saves the region to a file, see snapshot.hpp. The guest must be stopped. Waits.
    virtual result<snapshot_report> save(const std::string& path,
                                         const snapshot_options& options) = 0;
    /// Begins to bring a saved region back: the guest may run when this returns, whatever the size.
    virtual result<std::unique_ptr<restoration>> restore(const std::string& path) = 0;

  protected:
    region() = default;
};

class manager {
  public:
    /// Throws setup_error; nothing stays behind.
    UFFDMM_CXX_API explicit manager(const manager_config& config);
    /// Removes every region with removal::drop. To keep contents, remove regions first.
    UFFDMM_CXX_API ~manager();
    manager(const manager&) = delete;
    manager& operator=(const manager&) = delete;

    /// Takes over a range. From here until removal, every access to an absent page is served by
    /// the library. Throws setup_error; nothing stays behind.
    UFFDMM_CXX_API region& add_region(const region_config& config);
    /// `r` is gone afterwards, on success. On limit_too_small nothing changed and
    /// missing_bytes(r) tells how much memory is short. busy, nothing changed: a migration of `r`
    /// is under way.
    UFFDMM_CXX_API result<void> remove_region(region& r, removal how);
    /// Bytes that removal::keep of `r` would need beyond the limit.
    [[nodiscard]] UFFDMM_CXX_API byte_count missing_bytes(region& r);

    /// Changes the limit. Raising is immediate; lowering waits until memory is below it, and fails
    /// with limit_too_small (limit unchanged) if metadata and pinned pages alone need more.
    /// invalid_argument: less than least_limit.
    UFFDMM_CXX_API result<void> set_limit(byte_count limit);
    [[nodiscard]] UFFDMM_CXX_API byte_count limit() const noexcept;

    /// Waits until no reclaim, load or store is under way; busy if that is not so after
    /// `timeout`.
    UFFDMM_CXX_API result<void> wait_until_idle(std::chrono::milliseconds timeout);

    [[nodiscard]] UFFDMM_CXX_API stats statistics() const;

  private:
    class impl;
    std::unique_ptr<impl> impl_;
};

/// Library version as "0.1.0".
[[nodiscard]] UFFDMM_CXX_API const char* version() noexcept;

/// Kernel features found, as one line of text for reports ("move poison wp ...").
[[nodiscard]] UFFDMM_CXX_API std::string kernel_features();

} // namespace uffdmm
