// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What the engine asks of the kernel, as a concept: lib/kernel implements it with userfaultfd,
/// test/support/fake_kernel.hpp in plain memory. One kernel object serves one shard: it owns the
/// shard's guest range, its userfaultfd, and its staging arena (frames), and speaks in page and
/// frame indices. All calls come from the shard thread.
///
/// Why two userfaultfds per shard: UFFDIO_MOVE wants its destination registered with the
/// descriptor it is called on. The guest range is registered with the first, which reports
/// faults and REMOVE events; the staging arena with the second, which reports nothing, so that
/// discarding frames never waits for an event that only this thread would read
/// (madvise_self_deadlock).

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "uffdmm/types.hpp"

namespace uffdmm {

/// A message read from the guest's userfaultfd. Addresses are clipped to the shard already.
struct kernel_message {
    enum class kind : std::uint8_t {
        missing, ///< no page there
        protect, ///< write to a write-protected page
        minor,   ///< shmem: in the page cache, not mapped
        remove,  ///< range is being discarded (madvise)
        unmap,   ///< range is being unmapped
        other    ///< fork, remap: not expected; the engine counts it
    };
    kind what = kind::missing;
    bool write = false; ///< a hint only: KVM asks for write on reads (kvm_async_pf_asks_for_write)
    page_run pages;     ///< count 1 for faults
    std::uint32_t thread = 0; ///< faulting thread id, 0 if unknown
};

/// How far an operation over a run came. Partial progress is never lost: `done` pages from the
/// start of the run are finished; `status` tells why page `done` is not.
enum class kernel_status : std::uint8_t {
    ok,
    again,   ///< an event is unread: read messages, then retry (remove_pending_makes_eagain)
    exists,  ///< target page is mapped already: somebody else resolved it (eexist_means_race)
    missing, ///< source page is not there, and holes were not allowed
    busy,    ///< source page is pinned by the kernel (pinned_pages)
    gone,    ///< the range is not registered (any more), or the process is exiting
    no_memory,
    unsupported ///< this kernel or backing has no such operation
};

struct kernel_result {
    page_count done = 0;
    kernel_status status = kernel_status::ok;
    int os_errno = 0;
};

/// Most pages that are installed, read or moved in one go: as many as fit one 64-bit mask.
inline constexpr page_count max_run = 64;
/// Runs of one discard_all().
inline constexpr std::size_t most_discard_runs = 128;

/// A run of frames.
struct frame_run {
    frame_index first;
    page_count count = 0;
};

/// What the backing can do; decides the evict protocol.
struct kernel_traits {
    bool shared = false; ///< memfd / shmem: alias() works, contents are taken out by copying
    bool move = false;   ///< UFFDIO_MOVE between guest and frames works
    bool poison = false;
    bool remove_events = false; ///< of private memory
    page_count huge_page = 0;   ///< pages of a huge page, where the guest can have some; else 0

    /// Whether the shard thread may discard guest pages (madvise_self_deadlock).
    [[nodiscard]] bool may_discard() const { return shared || !remove_events; }
};

/// How long wait() may sleep.
enum class wait_hint : std::uint8_t {
    poll,   ///< do not sleep
    spin,   ///< spin for the adaptive time, then sleep
    served, ///< the same, after a fault was answered: an idle time begins
    sleep,  ///< sleep at once: waking up costs little beside what faults wait for anyway
    linger, ///< the same as spin, but the sleep ends after about a millisecond
    timed   ///< sleep, but at most about a millisecond (something will be due)
};

template <typename K>
concept kernel = requires(K& k, const K& ck, std::span<kernel_message> messages, page_index page,
                          frame_index frame, page_count n, const std::byte* contents, bool flag,
                          std::span<const frame_run> frames, std::span<const page_run> pages) {
    { ck.traits() } -> std::same_as<kernel_traits>;
    { ck.pages() } -> std::same_as<page_count>;     ///< guest range
    { ck.frames() } -> std::same_as<page_count>;    ///< staging arena
    { ck.now_ns() } -> std::same_as<std::uint64_t>; ///< monotonic clock

    /// Reads pending messages, never blocking; returns how many. Fewer than messages.size() means
    /// that the descriptor is drained.
    { k.read(messages) } -> std::same_as<std::size_t>;

    /// Takes `n` guest pages from `page` out into frames from `frame`, skipping holes: frame
    /// frame+i gets page+i where that was mapped, and stays empty elsewhere. Contents are frozen:
    /// no guest write is lost. Afterwards accesses to the pages fault. `exists`: a page's frame is
    /// in use; those of holes may be.
    { k.take_out(page, n, frame) } -> std::same_as<kernel_result>;
    /// Moves frames back into absent guest pages, giving the frames up. Private backing only.
    { k.move_in(page, n, frame) } -> std::same_as<kernel_result>;
    /// Fills absent guest pages with copies of `contents` (n pages, not guest memory) and wakes.
    /// `flag`: write-protected.
    { k.copy_in(page, n, contents, flag) } -> std::same_as<kernel_result>;
    /// Maps zeros into absent guest pages and wakes. A later write is the kernel's own affair.
    { k.zero_in(page, n) } -> std::same_as<kernel_result>;
    /// Huge pages (traits().huge_page). A block is as many pages, aligned in the guest's mapping.
    /// Tells the kernel whether blocks may be mapped huge. What makes a page table meanwhile (a
    /// fault while they may not, a single page) stands in the way of a huge page for good.
    {k.allow_huge(flag)};
    /// Maps a huge page of zeros into the absent block that begins at `page`, and wakes.
    /// unsupported: no such page is to be had now, and nothing was done. A block that has a page
    /// table gets single pages, slowly.
    { k.huge_in(page) } -> std::same_as<kernel_result>;
    /// Makes single pages of the huge page that pages of the run are part of, so that others of it
    /// can be freed (partial_huge_page). The run lies in one block. Returns whether any of it is
    /// mapped. As well as it can be done: else the kernel does it when memory is short.
    { k.split_huge(page, n) } -> std::same_as<bool>;
    /// shmem: maps pages that are in the page cache, and wakes. `flag`: write-protected.
    { k.continue_in(page, n, flag) } -> std::same_as<kernel_result>;
    /// Sets or clears write protection; clearing wakes.
    { k.write_protect(page, n, flag) } -> std::same_as<kernel_result>;
    { k.wake(page, n) } -> std::same_as<kernel_result>;
    { k.poison(page, n) } -> std::same_as<kernel_result>;
    /// Discards guest pages from the shard thread, and wakes who waits to write to them. Both must
    /// not be used where remove_events is set on a private backing (traits().may_discard()): there
    /// the embedder's thread does the madvise.
    { k.discard(page, n) } -> std::same_as<kernel_result>;
    /// The same for one to most_discard_runs runs: of private memory in one call and under one TLB
    /// flush. `done`: pages from the start of the first run on; all others are as they were.
    { k.discard_all(pages) } -> std::same_as<kernel_result>;

    /// Address of a frame. Readable only while it holds contents.
    { ck.frame(frame) } -> std::same_as<std::byte*>;
    /// Gives the memory of frames back, all runs in one call and one TLB flush.
    { k.release_frames(frames) } -> std::same_as<kernel_result>;
    /// Host virtual address of a guest page, for messages only: never dereferenced.
    { ck.address(page) } -> std::same_as<std::uint64_t>;
};

} // namespace uffdmm
