// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Recognises threads that read memory once from one end to the other: the migration thread of a
/// VMM that knows nothing of the library, a dump, a checksum. What they read is no working set.
///
/// The kernel names the faulting thread (UFFD_FEATURE_THREAD_ID). A thread is a one-pass reader
/// once its last faults were reads, each a little further on than the one before, over a good
/// stretch of the shard. It stays one across pages that were resident (it jumps forward, however
/// far), until it writes or goes back. One that has swept half of the shard may begin again.
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
    page_run passed; ///< pages it has read since its last fault; empty unless one_pass
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
        if (write || before == no_page || page < before) {
            t = start(t, page, write);
        } else if (page != before) {
            const page_count step = page - before;
            if (step > longest_step && !is_one_pass(t))
                t = start(t, page, write);
            t.faults += 1;
            t.swept += std::min(step, longest_step);
            t.last = page;
        }
        if (!is_one_pass(t))
            return {};
        const bool forward = before != no_page && before < page;
        return {true, forward ? passed(before, page) : page_run{page, 0}};
    }

  private:
    static constexpr unsigned enough_faults = 8;
    static constexpr page_count least_stretch = 64;
    static constexpr page_count most_stretch = 4096;
    /// A prefetch window, and resident pages between.
    static constexpr page_count longest_step = 1024;

    struct track {
        std::uint32_t thread = 0;
        page_index last = no_page;
        std::uint32_t faults = 0; ///< forward, in a row
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
        return {t.thread, page, 0, 0, again, t.used};
    }
    /// What it has passed. Of a long jump the beginning: the rest was resident before it came.
    [[nodiscard]] static page_run passed(page_index from, page_index to) {
        return {from, std::min(to - from, longest_step)};
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
