// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Saving a stopped region to a file, and bringing it up again, here or elsewhere, at once.
///
///     region::save(path)       each page as contents in the file; or as a location, if it is on a
///                              store that several hosts read and options.locations says so
///     region::restore(path)    returns as soon as the file's index is read: from then on the guest
///                              may run. What it touches comes in first, the rest behind it
///
/// The file (version 1, little-endian; all sums are XXH3 of 64 bits cut to 32):
///
///      0        header, one page: what this is, sizes, where the rest is, the store's volume and
///               the nonce of its handover if there are locations; a sum
///      4 KiB    contents, a page each, in order of the windows that they belong to
///      …        for each window: its locations (48 bytes each), then its repeated words (8 each)
///      …        index: 64 bytes for each aligned window of 64 pages: masks of the pages that have
///               contents, a location, a repeated word, are lost, were resident; where its contents
///               and the rest are, and their sums. A page in no mask is zeros
///
/// It appears under its name when it is complete and on the disk. With contents only it stays as it
/// is, and may be restored as often as wanted. With locations it is good for one restoration: the
/// store's volume passes to whoever accepts it.

#include <cstdint>

#include "uffdmm/export.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

struct snapshot_options {
    /// Pages on a shared store go as locations, and the volume is offered to whoever restores the
    /// file (shared_store::offer, kept without a living owner). Everything that can leaves memory
    /// for it. After success the region is good for removal::drop alone. not_supported: there is no
    /// such store.
    bool locations = false;
};

/// What went into a snapshot. Pages.
struct snapshot_report {
    std::uint64_t contents = 0;
    std::uint64_t located = 0;
    std::uint64_t same_filled = 0;
    std::uint64_t zeros = 0;
    std::uint64_t lost = 0; ///< poisoned: they are when restored, too
    byte_count file_bytes = 0;
};

/// A region that is being brought back. Ends with the region's manager at the latest; its
/// destructor waits until everything is there. The region cannot be removed (busy) until it is
/// destroyed.
class UFFDMM_CXX_API restoration {
  public:
    restoration(const restoration&) = delete;
    restoration& operator=(const restoration&) = delete;
    virtual ~restoration() = default;

    /// Any thread, not the guest's: waits until everything is there and the store's volume, if
    /// there is one, is accepted. Pages whose contents the file has no more (io_error, corrupt) are
    /// poisoned, and the first such error is given; the others are fine. permission_denied or
    /// wrong_state from the store: somebody else has accepted the volume, so the guest must not go
    /// on. shut_down: the region ended before.
    virtual result<void> wait() = 0;
    /// Any thread: bytes of the region that are there.
    [[nodiscard]] virtual byte_count restored_bytes() const noexcept = 0;

  protected:
    restoration() = default;
};

} // namespace uffdmm
