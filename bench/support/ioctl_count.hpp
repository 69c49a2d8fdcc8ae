// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Counts the userfaultfd ioctls of the whole process, so that a fault of the library is compared
/// with the bare round trip of the same ioctl. It takes the place of ioctl(2) in the program that
/// links it, for the library and the bare handler alike.

#include <cstdint>

namespace uffdmm::bench {

/// `number`: _UFFDIO_COPY and so on. Any thread.
[[nodiscard]] std::uint64_t ioctls_of(unsigned number);

} // namespace uffdmm::bench
