// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Which threads fault all the time. The kernel names them (UFFD_FEATURE_THREAD_ID).

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace uffdmm {

/// Owner: the shard. Remembers the latest few.
class faulting_threads {
  public:
    static constexpr std::size_t most = 8;
    /// So many faults, each so soon after the one before, make a thread one of those: not a fault
    /// now and then of a thread that does something else.
    static constexpr unsigned enough_faults = 16;
    static constexpr std::uint64_t soon_ns = 2'000'000;
    /// And a pause of more than this ends it.
    static constexpr std::uint64_t pause_ns = 20'000'000;

    /// What lists are made of: thread numbers as gettid() gives them.
    struct list {
        std::array<std::uint32_t, most> threads{};
        std::size_t count = 0;
        bool complete = true; ///< false: there were more

        [[nodiscard]] std::span<const std::uint32_t> all() const { return {threads.data(), count}; }
    };

    /// Thread `thread` (0: unknown) faulted at `now_ns`.
    void saw(std::uint32_t thread, std::uint64_t now_ns) {
        if (thread == 0) {
            missed_ns_ = now_ns;
            return;
        }
        if (entries_[latest_].thread != thread)
            latest_ = place_of(thread);
        entry& e = entries_[latest_];
        const std::uint64_t longest = e.faults < enough_faults ? soon_ns : pause_ns;
        e.faults = now_ns - e.at_ns <= longest ? e.faults + 1 : 1;
        e.at_ns = now_ns;
    }

    /// Those that have done so until `since_ns` or later.
    [[nodiscard]] list since(std::uint64_t since_ns) const {
        list out;
        out.complete = missed_ns_ < since_ns;
        for (const entry& e : entries_)
            if (e.faults >= enough_faults && e.at_ns >= since_ns)
                out.threads[out.count++] = e.thread;
        return out;
    }

  private:
    struct entry {
        std::uint32_t thread = 0;
        unsigned faults = 0; ///< in a row
        std::uint64_t at_ns = 0;
    };

    /// Its own, or the one that was used longest ago.
    std::size_t place_of(std::uint32_t thread) {
        const auto own = std::find_if(entries_.begin(), entries_.end(),
                                      [&](const entry& e) { return e.thread == thread; });
        if (own != entries_.end())
            return static_cast<std::size_t>(own - entries_.begin());
        const auto oldest =
            std::min_element(entries_.begin(), entries_.end(),
                             [](const entry& a, const entry& b) { return a.at_ns < b.at_ns; });
        missed_ns_ = std::max(missed_ns_, oldest->at_ns);
        *oldest = {thread, 0, 0};
        return static_cast<std::size_t>(oldest - entries_.begin());
    }

    std::array<entry, most> entries_{};
    std::size_t latest_ = 0;
    std::uint64_t missed_ns_ = 0; ///< latest fault of a thread that is unknown or forgotten
};

} // namespace uffdmm
