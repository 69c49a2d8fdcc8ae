// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What is mapped in a range of this process, as /proc/self/smaps tells.

#include <cstdint>
#include <istream>
#include <string>
#include <vector>

namespace uffdmm {

struct mapped_area {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    std::string permissions; ///< "rw-p"; the last letter is s for shared
    std::uint64_t offset = 0;
    std::uint64_t inode = 0; ///< 0: anonymous
    std::string name;        ///< path or "[heap]"; may be empty
    std::string flags;       ///< VmFlags, " rd wr mr ... "

    /// Two-letter flag of the kernel: "ht" hugetlb, "lo" locked, "um"/"uw"/"ui" userfaultfd.
    [[nodiscard]] bool has(const char* flag) const {
        return flags.find(std::string(" ") + flag + " ") != std::string::npos;
    }
    [[nodiscard]] bool shared() const { return permissions.size() > 3 && permissions[3] == 's'; }
};

/// Areas that overlap [start, end), in order.
[[nodiscard]] std::vector<mapped_area> parse_smaps(std::istream& smaps, std::uint64_t start,
                                                   std::uint64_t end);
[[nodiscard]] std::vector<mapped_area> mapped_areas(const void* address, std::uint64_t bytes);

} // namespace uffdmm
