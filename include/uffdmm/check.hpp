// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// UFFDMM_CHECK(condition, "what must hold"): a broken promise inside the library. Prints one line
/// with write(2) and aborts: going on could answer a fault with the wrong bytes.
/// UFFDMM_DCHECK: the same, compiled out with NDEBUG; for checks on the fault path.

#include "uffdmm/export.hpp"

namespace uffdmm {
[[noreturn]] UFFDMM_CXX_API void fatal(const char* file, int line, const char* what,
                                       int os_errno = 0) noexcept;
}

#define UFFDMM_CHECK(condition, what)                                                              \
    do {                                                                                           \
        if (!(condition)) [[unlikely]]                                                             \
            ::uffdmm::fatal(__FILE__, __LINE__, what " [" #condition "]");                         \
    } while (false)

#ifdef NDEBUG
#define UFFDMM_DCHECK(condition, what) static_cast<void>(0)
#else
#define UFFDMM_DCHECK(condition, what) UFFDMM_CHECK(condition, what)
#endif
