// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// RAII owner of an mmap()ed range.

#include <cstddef>
#include <utility>

#include "uffdmm/export.hpp"

namespace uffdmm {

class UFFDMM_CXX_API mapping {
  public:
    mapping() = default;
    /// Private anonymous memory, zeroed, MADV_DONTFORK and MADV_NOHUGEPAGE, no swap reserved.
    /// Throws setup_error (no_memory). `bytes` is rounded up to whole OS pages.
    [[nodiscard]] static mapping anonymous(std::size_t bytes);
    /// The same, and memory is taken page by page as it is touched even after mlockall(MCL_FUTURE),
    /// so that what was not touched need not be counted.
    [[nodiscard]] static mapping on_demand(std::size_t bytes);
    /// Shared mapping of `bytes` of a descriptor from `offset`; MADV_DONTFORK. Throws setup_error.
    [[nodiscard]] static mapping shared(int fd, std::size_t bytes, std::size_t offset);

    mapping(mapping&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    mapping& operator=(mapping&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~mapping();

    [[nodiscard]] std::byte* data() const noexcept { return data_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    /// Gives the memory of anonymous pages back; they read as zeros. Returns whether that was
    /// possible: not where it is locked.
    bool give_back(std::size_t offset, std::size_t bytes) noexcept;
    /// Gives up ownership; the caller unmaps.
    std::byte* release() noexcept {
        size_ = 0;
        return std::exchange(data_, nullptr);
    }

  private:
    mapping(std::byte* data, std::size_t size) : data_(data), size_(size) {}

    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace uffdmm
