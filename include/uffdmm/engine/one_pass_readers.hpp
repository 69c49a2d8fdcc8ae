// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Recognises threads that read memory once from one end to the other: the migration thread of a
/// VMM that knows nothing of the library, a dump, a checksum. What they read is no working set.
///
/// The kernel names the faulting thread (UFFD_FEATURE_THREAD_ID). A thread is a one-pass reader
/// once its last faults were reads, each a little further on than the one before, over a good
/// stretch of the shard. It stays one across pages that were resident (it jumps forward, however
/// far), until it writes or goes back. One that has swept half of the shard may begin again.
///
/// A reader that sends what it reads looks at a page twice: for zeros, and a little later when it
/// writes a batch to its socket. So a small step back ends nothing, and pages count as passed only
/// when the reader is that much further on.
///
/// Threads inside a virtual CPU that scans are taken for readers too, if their faults are reads:
/// what they have passed is the right thing to evict then as well.

#include <algorithm>
#include <array>
#include <cstdint>

#include "uffdmm/types.hpp"

namespace uffdmm {

/// What a fault says of the thread that caused it.
struct reader_progress {
    bool one_pass = false;
    page_run passed; ///< pages it has left behind since its last fault; empty unless one_pass
};

/// Owner: the shard. Remembers the latest few threads.
class one_pass_readers {
  public:
    explicit one_pass_readers(page_count pages)
        : good_stretch_(std::clamp<page_count>(pages / 16, least_stretch, most_stretch)),
          whole_(pages) {}

    /// Thread `thread` (0: unknown) faulted on `page`, to read it or to write it.
    reader_progress saw(std::uint32_t thread, page_index page, bool write) {
        if (thread == 0)
            return {};
        track& t = track_of(thread);
        const page_index before = t.last;
        const bool back = before != no_page && page < before;
        if (back && !write && before - page <= longest_step_back && is_one_pass(t))
            return {true, {page, 0}};
        if (write || before == no_page || back) {
            t = start(t, page, write);
        } else if (page != before) {
            const page_count step = page - before;
            if (step > longest_step && !is_one_pass(t))
                t = start(t, page, write);
            t.faults += 1;
            t.swept += std::min(step, longest_step);
            t.last = page;
        }
        if (!is_one_pass(t)) {
            t.behind = page;
            return {};
        }
        return {true, passed(t, page)};
    }

  private:
    static constexpr unsigned enough_faults = 8;
    static constexpr page_count least_stretch = 64;
    static constexpr page_count most_stretch = 4096;
    /// A prefetch window, and resident pages between.
    static constexpr page_count longest_step = 1024;
    static constexpr page_count longest_step_back = 256;
    /// Pages behind the reader that it may look at again.
    static constexpr page_count batch = 64;
    /// Pages it tells of at a time, for each eviction costs a TLB flush.
    static constexpr page_count fewest_passed = 64;

    struct track {
        std::uint32_t thread = 0;
        page_index last = no_page;
        page_index behind = no_page; ///< before it everything is passed, or was not its business
        std::uint32_t faults = 0;    ///< forward, in a row
        page_count swept = 0;
        bool known = false; ///< was a one-pass reader to the end
        std::uint64_t used = 0;
    };

    [[nodiscard]] bool is_one_pass(const track& t) const {
        return t.known || (t.faults >= enough_faults && t.swept >= good_stretch_);
    }
    /// The thread begins anew at `page`.
    [[nodiscard]] track start(const track& t, page_index page, bool write) const {
        const bool again = !write && is_one_pass(t) && t.swept >= whole_ / 2;
        return {t.thread, page, page, 0, 0, again, t.used};
    }
    /// What it has passed. Of a long jump the beginning: the rest was resident before it came.
    [[nodiscard]] static page_run passed(track& t, page_index page) {
        if (t.behind.value + batch + fewest_passed > page.value)
            return {page, 0};
        const page_index from = t.behind;
        t.behind = page_index{page.value - batch};
        return {from, std::min(t.behind - from, longest_step)};
    }

    track& track_of(std::uint32_t thread) {
        track* oldest = &tracks_.front();
        for (track& t : tracks_) {
            if (t.thread == thread) {
                t.used = ++clock_;
                return t;
            }
            if (t.used < oldest->used)
                oldest = &t;
        }
        *oldest = {};
        oldest->thread = thread;
        oldest->used = ++clock_;
        return *oldest;
    }

    std::array<track, 8> tracks_{};
    page_count good_stretch_;
    page_count whole_;
    std::uint64_t clock_ = 0;
};

} // namespace uffdmm
