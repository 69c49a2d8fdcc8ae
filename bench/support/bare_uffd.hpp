// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Memory under a userfaultfd, and the plain ioctls: nothing of the library.

#include <cstddef>
#include <cstdint>

#include "uffdmm/types.hpp"

namespace uffdmm::bench {

/// Private anonymous memory, never in huge pages.
class bare_memory {
  public:
    explicit bare_memory(page_count pages);
    bare_memory(const bare_memory&) = delete;
    bare_memory& operator=(const bare_memory&) = delete;
    ~bare_memory();

    [[nodiscard]] std::byte* page(page_count index) const {
        return data_ + std::size_t{index} * page_size;
    }
    [[nodiscard]] page_count pages() const { return pages_; }
    /// Frees all pages.
    void discard() const;

  private:
    std::byte* data_;
    page_count pages_;
};

class bare_uffd {
  public:
    /// Watches all of `memory`. `modes`: UFFDIO_REGISTER_MODE_...
    bare_uffd(const bare_memory& memory, std::uint64_t modes);
    bare_uffd(const bare_uffd&) = delete;
    bare_uffd& operator=(const bare_uffd&) = delete;
    ~bare_uffd();

    [[nodiscard]] int fd() const { return fd_; }
    /// Address of the next fault's page; nullptr if there is none.
    [[nodiscard]] std::byte* read() const;

    void zeropage(std::byte* to, page_count n) const;
    void copy(std::byte* to, const std::byte* from, page_count n) const;
    /// Absent source pages are skipped.
    void move(std::byte* to, const std::byte* from, page_count n) const;
    void protect(std::byte* at, page_count n, bool on) const;

  private:
    int fd_;
};

} // namespace uffdmm::bench
