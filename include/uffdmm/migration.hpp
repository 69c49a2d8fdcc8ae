// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Live migration, snapshots and dumps of a region without bringing in what is swapped out. The
/// VMM keeps its own stream and its own dirty log; here it learns what each page is and gets the
/// contents of those that are out of the guest, and on the other side puts pages in without
/// touching the guest's memory where it is absent.
///
///     source    region::begin_source()    page() for each page that the dirty log names
///     target    region::begin_target()    put(), zero() or adopt() for each that arrives
///
/// ## Which races there are, and why each is safe
///
/// The rule for the VMM, the same that it keeps for memory of its own: first clear the page's bit
/// in the dirty log, then ask, then send. A record is true of one moment after page() or look() was
/// called, and contents are those of the same moment.
///
/// Between asking and sending, a page may
///   - be written by the guest, wherever it was: its bit is set after it was cleared, so it is sent
///     again. Until then the target has contents of an earlier moment, as with any page of precopy.
///   - be faulted in and only read, or written out: its contents stay what they were.
///   - be `untouched`, and written for the first time: like any write. The target has zeros.
///   - be `resident`, and evicted: reading it in the guest brings it in again. Reclaim passes over
///     the window last looked at while there is something else to take, so this is rare.
///   - be `swapped` or `located`, and discarded: its last contents are sent. The guest gave them
///     up, so it may see them, or zeros, until it writes there.
///   - be `swapped`, and demoted, or faulted in so that its slot is freed: a slot that is being
///   read
///     is freed after the read.
///   - be `located`, and its slot freed: a leased slot keeps its contents. If the page was written,
///     its bit was set, and a newer record follows; the target forgets the location then.
///   - be `unreadable`: nothing is sent. It is asked for again, or the migration fails, and the
///     guest goes on: only an access of its own poisons a page.
///
/// page() answers from a window of up to 64 pages that it has looked at before, as long as nothing
/// has happened to the page since: a page that came into the guest for a moment is marked before
/// the guest can write to it, and asked for anew. So the answer is as good as one of this moment.
///
/// Shared memory: a page that the library knows as untouched may have been filled through another
/// mapping of the file. Where the file has contents the record is `resident`, and the VMM reads
/// them as ever; what other mappings write is for their users to log (vhost-user does).

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "uffdmm/export.hpp"
#include "uffdmm/location.hpp"
#include "uffdmm/page_record.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

struct migration_source_options {
    bool locations = false; ///< the target sees our shared store: pages there are `located`. Else
                            ///< they are `swapped`, with contents
};

/// A page, and what goes with it.
struct page_view {
    page_record record;
    const std::byte* contents = nullptr; ///< swapped: page_size bytes, page-aligned
    const location* place = nullptr;     ///< located
};

/// Pages that are the same but for their contents.
struct record_run {
    byte_count offset = 0; ///< in the region
    byte_count length = 0;
    page_record what;
};

/// What look() fills: a record for each page of the range.
struct look_output {
    std::span<page_record> records;
    std::byte* contents = nullptr; ///< a page for each, page-aligned, outside all regions: gets
                                   ///< those of swapped pages. nullptr: nothing is read
    location* locations = nullptr; ///< one for each: gets those of located pages. nullptr: there
                                   ///< are none, such pages are swapped
};

/// Reads a region for a migration, a snapshot or a dump while its guest runs. No page changes its
/// place for it, no policy and no prefetcher hears of it, and no counter but
/// stats().migration_reads (and a tier's errors) counts it. A guest's fault may find up to 128
/// reads of a slow tier before it, 8 if others waited for such a tier in the 2 ms before, or wait
/// while 16 pages are decompressed.
///
/// One thread at a time, which holds no lock that a faulting thread could need. One source for each
/// region at a time. Offsets and lengths are bytes, multiples of 4096, inside the region (else
/// invalid_argument). Once the region's manager is gone every call gives wrong_state; as long as
/// there is a source, the region cannot be removed (busy).
class UFFDMM_CXX_API migration_source {
  public:
    migration_source(const migration_source&) = delete;
    migration_source& operator=(const migration_source&) = delete;
    /// cancel(), unless complete() was called.
    virtual ~migration_source() = default;

    /// The page at `offset`; what the view points to is valid until the next call. Meant to be
    /// called for page after page: looks, and reads, ahead as long as that is of use.
    virtual result<page_view> page(byte_count offset) = 0;

    /// A whole range at once, each page at some moment during the call. invalid_argument also if
    /// `out` does not have as many records as pages, or contents that are not page-aligned or lie
    /// in the region.
    virtual result<void> look(byte_count offset, byte_count length, const look_output& out) = 0;

    /// The same as runs of equal records, in order, reading nothing. With options.locations, pages
    /// that would be located are, but nothing is leased: page() names and leases them.
    virtual result<std::vector<record_run>> walk(byte_count offset, byte_count length) = 0;

    /// The target has everything, or will have by taking over the store's volume
    /// (shared_store::offer): locations that were given out stay leased, for that is what it needs.
    virtual result<void> complete() = 0;
    /// The guest goes on here: the leases of locations that were given out end, and their slots
    /// become free as their pages no longer need them. The target must be known to be gone, or to
    /// have given up; see shared_store::cancel.
    virtual result<void> cancel() = 0;

  protected:
    migration_source() = default;
};

/// Where the contents of a page should go.
enum class warmth : std::uint8_t {
    warm, ///< into memory, while more than the low watermark of it is free; else like cold
    cold  ///< into a tier: they were not resident where they come from
};

/// Fills a region from elsewhere, without touching guest memory where it is absent: the pages of a
/// migration that arrives, of a snapshot. Pages that hold something already get the new contents,
/// as precopy sends some pages again. The limit, the tiers and the policy are respected; faults on
/// a page that is on its way wait. The guest must not write to a page before it is there: what it
/// writes may be lost.
///
/// Pages of one aligned window of 64 are collected, so that they arrive together, while those of
/// the window before are on their way; flush() before the guest starts. One thread at a time for
/// each target, which holds no lock that a faulting thread could need; several targets of a region
/// fill different pages at the same time. Offsets and lengths are bytes, multiples of 4096, inside
/// the region (else invalid_argument). Errors concern the pages of the call, or those that were
/// collected before, which are dropped. As long as there is a target, the region cannot be removed
/// (busy); once its manager is gone every call gives wrong_state.
///
///     full        neither memory nor a tier has room
///     poisoned    the page is; a discard of it ends that
///     busy        another target has the page on its way, or the kernel has a page there that is
///                 being discarded and does not go
class UFFDMM_CXX_API migration_target {
  public:
    migration_target(const migration_target&) = delete;
    migration_target& operator=(const migration_target&) = delete;
    /// What was not flushed is dropped.
    virtual ~migration_target() = default;

    /// The pages from `offset` on hold `contents` (a multiple of page_size bytes, copied) from the
    /// flush on.
    virtual result<void> put(byte_count offset, std::span<const std::byte> contents,
                             warmth how) = 0;
    /// The range is zeros from the flush on. Untouched pages cost nothing.
    virtual result<void> zero(byte_count offset, byte_count length) = 0;
    /// The page is where a source said, from the flush on: it comes in from there when it is
    /// touched. not_found: no tier has the store; wrong_state: the source's volume is not attached
    /// (shared_store::attach); other errors as swap_tier::adopt.
    virtual result<void> adopt(byte_count offset, const location& place) = 0;
    /// Everything that was put or adopted is there when this succeeds.
    virtual result<void> flush() = 0;

  protected:
    migration_target() = default;
};

} // namespace uffdmm
