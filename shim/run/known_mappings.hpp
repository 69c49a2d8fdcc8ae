// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Large mappings of the program that are not managed now, but may be: addresses that are reserved
/// and become memory later, and shared memory of which the program has not said yet that it keeps
/// it to itself.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <pthread.h>
#include <sys/types.h>

namespace preload {

/// What mmap was asked for, and where it is.
struct mapping_request {
    void* address = nullptr;
    std::size_t bytes = 0;
    int protection = 0;
    int flags = 0;
    int fd = -1;
    off_t offset = 0;
    unsigned forks = 0; ///< how often the process had forked when it was made

    [[nodiscard]] std::uintptr_t begin() const noexcept {
        return reinterpret_cast<std::uintptr_t>(address);
    }
    [[nodiscard]] std::uintptr_t end() const noexcept { return begin() + bytes; }
};

/// Any thread. Allocates nothing.
class known_mappings {
  public:
    /// Keeps a descriptor of its own for the file. The oldest is forgotten where there are many.
    void remember(mapping_request mapping) noexcept;
    /// The range is something else from now on. What is left of a mapping stays known, the larger
    /// part where it falls in two.
    void forget(const void* address, std::size_t bytes) noexcept;
    /// The mapping of exactly this range, which is forgotten. Its descriptor is the caller's.
    [[nodiscard]] std::optional<mapping_request> take(const void* address,
                                                      std::size_t bytes) noexcept;
    /// Whether the range lies in addresses that are only reserved.
    [[nodiscard]] bool reserved(const void* address, std::size_t bytes) const noexcept;

    /// Around fork: nobody else is changing them.
    void lock() noexcept { ::pthread_mutex_lock(&changes_); }
    void unlock() noexcept { ::pthread_mutex_unlock(&changes_); }

  private:
    static constexpr std::size_t most = 64;

    void drop(mapping_request& mapping) noexcept;

    std::array<mapping_request, most> mappings_{}; ///< 0 bytes: none
    std::size_t next_ = 0;
    std::atomic<std::size_t> count_{0}; ///< written under the lock; 0 saves taking it
    mutable pthread_mutex_t changes_ = PTHREAD_MUTEX_INITIALIZER;
};

} // namespace preload
