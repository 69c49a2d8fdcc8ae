// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Counts the locks a thread takes, so that "takes no lock" is something a test can check.
/// lock_counter.cpp stands before the C library's lock functions in the test binary; not under
/// sanitizers, which stand there themselves.

#include <cstdint>

namespace uffdmm::test {

/// Mutexes and read-write locks locked (or tried) by the calling thread so far; 0 for ever where
/// they cannot be counted.
[[nodiscard]] std::uint64_t locks_of_this_thread() noexcept;
[[nodiscard]] bool locks_are_counted() noexcept;

} // namespace uffdmm::test
