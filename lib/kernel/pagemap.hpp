// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Which pages of private memory have contents, without touching them.

#include <algorithm>
#include <array>
#include <cstdint>

#include <fcntl.h>
#include <unistd.h>

#include "kernel/file_descriptor.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// /proc/self/pagemap: needs no privilege for what is asked here.
class pagemap {
  public:
    pagemap() : file_(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) {}

    [[nodiscard]] bool available() const noexcept { return static_cast<bool>(file_); }

    /// One word per page of [at, at + n * 4096), n at most most_pages; false if that failed.
    static constexpr page_count most_pages = 512;
    using words = std::array<std::uint64_t, most_pages>;
    [[nodiscard]] bool read(const std::byte* at, page_count n, words& out) const noexcept {
        const std::size_t bytes = n * sizeof(std::uint64_t);
        const auto offset =
            reinterpret_cast<std::uintptr_t>(at) / page_size * sizeof(std::uint64_t);
        return ::pread(file_.get(), out.data(), bytes, static_cast<off_t>(offset)) ==
               static_cast<ssize_t>(bytes);
    }
    /// Present or swapped. A poison marker looks like a swapped page.
    [[nodiscard]] static bool populated(std::uint64_t word) noexcept { return (word >> 62) != 0; }

    /// Calls visit(offset, 4096) for each populated page of the range. A page whose state cannot
    /// be read counts as populated.
    template <typename Visit>
    void for_each_populated(const std::byte* start, byte_count bytes, Visit&& visit) const {
        words state;
        for (byte_count at = 0; at < bytes; at += bytes_of(most_pages)) {
            const page_count n = pages_of(std::min(bytes - at, bytes_of(most_pages)));
            const bool known = read(start + at, n, state);
            for (page_count i = 0; i < n; ++i)
                if (!known || populated(state[i]))
                    visit(at + bytes_of(i), byte_count{page_size});
        }
    }

  private:
    file_descriptor file_;
};

} // namespace uffdmm
