// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Gives memory back to the kernel, many ranges in one call: a call costs a TLB flush on every CPU
/// that runs the VM.

#include <cstddef>
#include <span>

#include <sys/uio.h>

#include "kernel/file_descriptor.hpp"

namespace uffdmm {

class page_returner {
  public:
    page_returner();

    static constexpr std::size_t most_ranges = 64;

    /// Discards whole pages of private anonymous memory. One call for all ranges where the kernel
    /// lets a process advise itself (Linux 6.13), else one for each. Returns false if the memory
    /// could not be given back; discarding again what was discarded is harmless.
    [[nodiscard]] bool discard(std::span<const iovec> ranges) noexcept;

  private:
    file_descriptor self_;
};

} // namespace uffdmm
