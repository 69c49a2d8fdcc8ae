// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/mapped_area.hpp"

#include <cinttypes>
#include <cstdio>
#include <fstream>

namespace uffdmm {
namespace {

/// "7f0-7f1 rw-p 00000000 fe:00 1234   /path": false for the lines of values between those.
bool parse_header(const std::string& line, mapped_area& area) {
    char permissions[8] = {};
    int name_at = 0;
    const int fields =
        std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*x:%*x %" SCNu64 " %n",
                    &area.start, &area.end, permissions, &area.offset, &area.inode, &name_at);
    if (fields < 5)
        return false;
    area.permissions = permissions;
    area.name = name_at > 0 ? line.substr(static_cast<std::size_t>(name_at)) : std::string();
    return true;
}

} // namespace

std::vector<mapped_area> parse_smaps(std::istream& smaps, std::uint64_t start, std::uint64_t end) {
    std::vector<mapped_area> areas;
    bool inside = false;
    for (std::string line; std::getline(smaps, line);) {
        mapped_area area;
        if (parse_header(line, area)) {
            if (area.start >= end)
                break;
            inside = area.end > start;
            if (inside)
                areas.push_back(std::move(area));
        } else if (inside && line.rfind("VmFlags:", 0) == 0) {
            areas.back().flags = line.substr(sizeof "VmFlags:" - 1) + " ";
        }
    }
    return areas;
}

std::vector<mapped_area> mapped_areas(const void* address, std::uint64_t bytes) {
    std::ifstream smaps("/proc/self/smaps");
    const auto start = reinterpret_cast<std::uintptr_t>(address);
    return parse_smaps(smaps, start, start + bytes);
}

} // namespace uffdmm
