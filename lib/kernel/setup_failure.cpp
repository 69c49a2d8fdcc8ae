// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/setup_failure.hpp"

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>

namespace uffdmm {
namespace {

std::string read_word(const char* path) {
    std::ifstream in(path);
    std::string word;
    in >> word;
    return word.empty() ? "unknown" : word;
}

std::size_t mapping_count() {
    std::ifstream maps("/proc/self/maps");
    std::size_t lines = 0;
    while (maps.ignore(std::numeric_limits<std::streamsize>::max(), '\n'))
        ++lines;
    return lines;
}

std::string explanation(int os_errno) {
    switch (os_errno) {
    case ENOMEM:
        return ". Either the host is out of memory, or the process has too many mappings: it has " +
               std::to_string(mapping_count()) + ", and vm.max_map_count allows " +
               read_word("/proc/sys/vm/max_map_count") +
               ". Raise it with: sysctl vm.max_map_count=1048576";
    case EBUSY:
        return ". Another userfaultfd has the range already, and a range can have only one (QEMU "
               "postcopy migration and background snapshots use one too)";
    default:
        return {};
    }
}

errc code_of(int os_errno) {
    switch (os_errno) {
    case ENOMEM:
        return errc::no_memory;
    case EBUSY:
        return errc::busy;
    case EPERM:
    case EACCES:
        return errc::permission_denied;
    case EINVAL:
    case EOPNOTSUPP:
        return errc::not_supported;
    default:
        return errc::system;
    }
}

} // namespace

void setup_failure(const std::string& what, int os_errno) {
    throw setup_error(code_of(os_errno),
                      what + ": " + ::strerrordesc_np(os_errno) + explanation(os_errno), os_errno);
}

std::string range_text(const void* address, byte_count size) {
    const auto start = reinterpret_cast<std::uintptr_t>(address);
    char text[48];
    std::snprintf(text, sizeof text, "0x%" PRIxPTR "-0x%" PRIxPTR, start,
                  start + static_cast<std::uintptr_t>(size));
    return text;
}

} // namespace uffdmm
