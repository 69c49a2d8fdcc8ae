// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Counts what a thread takes from the heap, through malloc or operator new, so that "allocates
/// nothing" is something a test can check. allocation_counter.cpp stands before the C library's
/// malloc in the test binary, or hooks into a sanitizer's.

#include <cstdint>

namespace uffdmm::test {

/// Allocations of the calling thread so far.
[[nodiscard]] std::uint64_t allocations_of_this_thread() noexcept;

} // namespace uffdmm::test
