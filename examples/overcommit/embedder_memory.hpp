// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Memory that the program maps itself and hands to the library, as a VMM does.

#include "uffdmm/config.hpp"

namespace overcommit {

/// Owns the mapping and, for shared memory, the memfd. Must outlive the region.
class embedder_memory {
  public:
    /// Throws uffdmm::setup_error.
    embedder_memory(uffdmm::byte_count size, uffdmm::backing kind);
    ~embedder_memory();
    embedder_memory(const embedder_memory&) = delete;
    embedder_memory& operator=(const embedder_memory&) = delete;

    [[nodiscard]] void* address() const noexcept { return address_; }
    [[nodiscard]] int fd() const noexcept { return fd_; } ///< -1 for private memory

  private:
    uffdmm::byte_count size_;
    int fd_ = -1;
    void* address_ = nullptr;
};

} // namespace overcommit
