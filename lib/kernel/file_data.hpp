// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Which pages of a tmpfs file have contents, those that the kernel has swapped out included.
/// (mincore() would leave those out.) Moves the file position, so the descriptor is our own.

#include <algorithm>
#include <cstdint>

#include <sys/types.h>
#include <unistd.h>

#include "uffdmm/types.hpp"

namespace uffdmm {

/// How for_each_data finds the end of a run. SEEK_HOLE walks the file up to the next hole, however
/// far beyond the range that is: right for a whole file, wrong for a few pages of a full one (a
/// file of 16 MiB made taking out one page 50 us slower, and it grows with the file).
enum class data_search : std::uint8_t { whole_file, page_by_page };

[[nodiscard]] inline off_t end_of_data(int fd, off_t data, off_t end, data_search search) {
    if (search == data_search::whole_file)
        return std::min(::lseek(fd, data, SEEK_HOLE), end);
    off_t next = data + static_cast<off_t>(page_size);
    while (next < end && ::lseek(fd, next, SEEK_DATA) == next)
        next += static_cast<off_t>(page_size);
    return next;
}

/// Calls visit(offset, length) for each run of whole pages that `fd` holds in [start, start +
/// bytes), until it returns false.
template <typename Visit>
void for_each_data(int fd, byte_count start, byte_count bytes, data_search search, Visit&& visit) {
    const auto end = static_cast<off_t>(start + bytes);
    for (auto at = static_cast<off_t>(start); at < end;) {
        const off_t data = ::lseek(fd, at, SEEK_DATA); // -1: no more data
        if (data < 0 || data >= end)
            return;
        const off_t hole = end_of_data(fd, data, end, search);
        if (hole <= data ||
            !visit(static_cast<byte_count>(data), static_cast<byte_count>(hole - data)))
            return;
        at = hole;
    }
}

} // namespace uffdmm
