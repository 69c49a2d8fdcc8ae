// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Host memory of this process as the kernel counts it, for comparison with what the library says.
///
/// Anonymous and file-backed resident memory from /proc/self/status, plus the pages that memfds of
/// this process hold. Shared-memory mappings are left out of the first sum: a page mapped at two
/// addresses is counted twice there, and one that is mapped nowhere not at all.

#include <cstdint>

#include "uffdmm/types.hpp"

namespace overcommit {

[[nodiscard]] uffdmm::byte_count host_memory_now();

/// What came on top of what was there when it was made.
class memory_meter {
  public:
    memory_meter();

    /// Now; also moves the peak. One thread.
    uffdmm::byte_count sample();

    /// Largest sample. Where no memfd is in use also the kernel's own high-water mark, which misses
    /// nothing between samples.
    [[nodiscard]] uffdmm::byte_count peak() const;

  private:
    uffdmm::byte_count baseline_;
    uffdmm::byte_count resident_baseline_;
    uffdmm::byte_count peak_ = 0;
    bool watermark_reset_ = false;
};

} // namespace overcommit
