// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The memory of a region: allocated here, or adopted from the embedder. Set-up only; the shards'
/// linux_kernel objects work on slices of it and must be destroyed before it (unmapping a range
/// waits until somebody reads the UNMAP event of its userfaultfd).

#include <cstddef>
#include <string>
#include <vector>

#include "kernel/file_descriptor.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// A shard's part of the guest memory. Borrowed from guest_memory.
struct guest_slice {
    std::byte* address = nullptr;
    page_count pages = 0;
    int fd = -1;              ///< shared memory: the file behind it; -1 for private memory
    byte_count fd_offset = 0; ///< of the slice in the file

    [[nodiscard]] bool shared() const { return fd >= 0; }
};

/// Bytes of a region, relative to its start.
struct memory_extent {
    byte_count offset = 0;
    byte_count length = 0;
};

class guest_memory {
  public:
    /// Allocates or adopts what `config` says. Throws setup_error that names the region.
    explicit guest_memory(const region_config& config);
    guest_memory(const guest_memory&) = delete;
    guest_memory& operator=(const guest_memory&) = delete;
    /// Unmaps what was allocated here, unless released. Adopted memory is inherited by fork again
    /// if it was before.
    ~guest_memory();

    [[nodiscard]] std::byte* data() const noexcept { return data_; }
    [[nodiscard]] byte_count size() const noexcept { return size_; }
    [[nodiscard]] bool shared() const noexcept { return static_cast<bool>(file_); }
    /// The file behind shared memory, under a descriptor of our own; -1 for private memory.
    [[nodiscard]] int fd() const noexcept { return file_.get(); }

    [[nodiscard]] guest_slice slice(byte_count offset, page_count pages) const;

    /// Where the memory has contents: private pages that are present or swapped, shared pages
    /// that are in the file. In order, not adjacent. Touches no guest memory. Call it after the
    /// shards have registered the range: from then on no page appears unseen.
    [[nodiscard]] std::vector<memory_extent> contents() const;

    /// Memory allocated here stays mapped for good; it belongs to the caller now.
    void release() noexcept {
        inherited_ |= owned_.data() != nullptr;
        (void)owned_.release();
    }

  private:
    void allocate(const region_config& config);
    void adopt(const region_config& config);
    void adopt_file(const region_config& config);
    void advise(const std::string& name);

    mapping owned_; ///< empty for adopted memory
    file_descriptor file_;
    std::byte* data_ = nullptr;
    byte_count size_ = 0;
    byte_count fd_offset_ = 0;
    bool inherited_ = false; ///< memory that stays, and that a fork is to inherit
};

/// Why a file can not back a region, or "" if it can. `magic`: f_type of fstatfs; `link`: what
/// /proc/self/fd/N points to.
[[nodiscard]] std::string refusal_of_file(std::int64_t magic, const std::string& link);

} // namespace uffdmm
