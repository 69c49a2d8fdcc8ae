// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A manager on the real kernel, for tests: pages with self-describing contents, and tiers that can
/// be made to fail.

#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include <unistd.h>

#include "support/fake_tier.hpp"
#include "support/kernel_fixture.hpp"
#include "uffdmm/manager.hpp"

namespace uffdmm::test {

inline constexpr byte_count mib = byte_count{1} << 20;

/// Fills a page with its index and version; three quarters of it compress.
__attribute__((no_sanitize("thread"))) inline void stamp(std::byte* page, std::uint64_t index,
                                                         std::uint64_t version) {
    auto* words = reinterpret_cast<volatile std::uint64_t*>(page);
    std::uint64_t x = index * 0x9e3779b97f4a7c15u + version;
    words[0] = index;
    words[1] = version;
    for (std::size_t i = 2; i < page_size / 8; ++i) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        words[i] = i % 4 == 0 ? x : index;
    }
}

/// Whether a page holds what stamp() wrote.
__attribute__((no_sanitize("thread"))) inline bool
stamp_holds(const std::byte* page, std::uint64_t index, std::uint64_t version) {
    const auto* words = reinterpret_cast<const volatile std::uint64_t*>(page);
    std::uint64_t x = index * 0x9e3779b97f4a7c15u + version;
    if (words[0] != index || words[1] != version)
        return false;
    for (std::size_t i = 2; i < page_size / 8; ++i) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        if (words[i] != (i % 4 == 0 ? x : index))
            return false;
    }
    return true;
}

/// Every word is zero.
__attribute__((no_sanitize("thread"))) inline bool all_zero(const std::byte* page) {
    const auto* words = reinterpret_cast<const volatile std::uint64_t*>(page);
    for (std::size_t i = 0; i < page_size / 8; ++i)
        if (words[i] != 0)
            return false;
    return true;
}

inline std::byte* page_of(const region& r, std::uint64_t index) {
    return r.data() + index * page_size;
}
inline std::uint64_t pages_in(const region& r) {
    return r.size() / page_size;
}

/// Stamps every page with `version`.
inline void stamp_all(const region& r, std::uint64_t version) {
    for (std::uint64_t i = 0; i < pages_in(r); ++i)
        stamp(page_of(r, i), i, version);
}
/// Number of pages that do not hold `version`.
inline std::uint64_t wrong_pages(const region& r, std::uint64_t version) {
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < pages_in(r); ++i)
        wrong += stamp_holds(page_of(r, i), i, version) ? 0 : 1;
    return wrong;
}

/// Bytes of the process in memory, shared pages included, as the kernel counts them.
inline byte_count resident_set() {
    unsigned long size = 0;
    unsigned long resident = 0;
    std::FILE* f = std::fopen("/proc/self/statm", "r");
    REQUIRE(f != nullptr);
    REQUIRE(std::fscanf(f, "%lu %lu", &size, &resident) == 2);
    std::fclose(f);
    return resident * page_size;
}

/// Events, collected from any thread.
class event_log {
  public:
    event_handler handler() {
        return [this](const event& e) {
            const std::lock_guard lock(mutex_);
            events_.push_back(e.what);
        };
    }
    [[nodiscard]] bool seen(event::kind what) const {
        const std::lock_guard lock(mutex_);
        for (const event::kind k : events_)
            if (k == what)
                return true;
        return false;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<event::kind> events_;
};

/// Whether the kernel can read the page: false where an access would be a machine check. The
/// process itself would get SIGBUS.
inline bool readable(const std::byte* page) {
    int pipes[2];
    REQUIRE(::pipe(pipes) == 0);
    const bool ok = ::write(pipes[1], page, 1) == 1;
    ::close(pipes[0]);
    ::close(pipes[1]);
    return ok;
}

} // namespace uffdmm::test
