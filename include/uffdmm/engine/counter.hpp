// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A 64-bit counter with one writer and any number of readers.

#include <atomic>
#include <cstdint>

namespace uffdmm {

/// Writer: the owning shard's thread. load(): any thread. Load and store are separate and relaxed:
/// with a single writer nothing is lost, and no lock prefix is paid. Orders nothing else, so two
/// counters read together need not be from one instant.
class counter {
  public:
    counter() = default;
    counter(const counter&) = delete;
    counter& operator=(const counter&) = delete;

    counter& operator++() noexcept { return *this += 1; }
    counter& operator--() noexcept { return *this -= 1; }
    counter& operator+=(std::uint64_t n) noexcept {
        set(load() + n);
        return *this;
    }
    counter& operator-=(std::uint64_t n) noexcept {
        set(load() - n);
        return *this;
    }
    void set(std::uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }

    [[nodiscard]] std::uint64_t load() const noexcept {
        return value_.load(std::memory_order_relaxed);
    }

  private:
    std::atomic<std::uint64_t> value_{0};
    static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
};

} // namespace uffdmm
