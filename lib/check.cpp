// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/check.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace uffdmm {

void fatal(const char* file, int line, const char* what, int os_errno) noexcept {
    char text[512];
    const int length =
        os_errno != 0
            ? std::snprintf(text, sizeof text, "libuffdmm: fatal: %s: %s (%s:%d)\n", what,
                            ::strerrordesc_np(os_errno), file, line)
            : std::snprintf(text, sizeof text, "libuffdmm: fatal: %s (%s:%d)\n", what, file, line);
    if (length > 0) {
        const auto bytes = static_cast<std::size_t>(length) < sizeof text
                               ? static_cast<std::size_t>(length)
                               : sizeof text - 1;
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, bytes);
    }
    std::abort();
}

} // namespace uffdmm
