// SPDX-License-Identifier: BSD-3-Clause
#include "run/tell.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include <unistd.h>

namespace preload {

void tell(const char* format, ...) noexcept {
    const int error = errno;
    std::array<char, 1024> line;
    int length = std::snprintf(line.data(), line.size(), "uffdmm-run: ");
    va_list arguments;
    va_start(arguments, format);
    length += std::vsnprintf(line.data() + length, line.size() - static_cast<std::size_t>(length),
                             format, arguments);
    va_end(arguments);
    const auto end = std::min(static_cast<std::size_t>(length), line.size() - 2);
    line[end] = '\n';
    [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, line.data(), end + 1);
    errno = error;
}

} // namespace preload
