// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/process_memory.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include <sys/stat.h>

namespace overcommit {
namespace {

using uffdmm::byte_count;
namespace fs = std::filesystem;

struct status {
    byte_count anonymous = 0;
    byte_count file = 0;
    byte_count resident = 0;
    byte_count high_water = 0;
};

status read_status() {
    status found;
    std::ifstream in("/proc/self/status");
    std::string line;
    while (std::getline(in, line)) {
        unsigned long long kibibytes = 0;
        const auto take = [&](const char* format, byte_count& value) {
            if (std::sscanf(line.c_str(), format, &kibibytes) == 1)
                value = kibibytes * 1024;
        };
        take("RssAnon: %llu", found.anonymous);
        take("RssFile: %llu", found.file);
        take("VmRSS: %llu", found.resident);
        take("VmHWM: %llu", found.high_water);
    }
    return found;
}

/// Each file once, however many descriptors it has. Descriptors come and go meanwhile: an error
/// means that one has gone.
byte_count memfd_bytes() {
    std::map<ino_t, byte_count> files; // all memfds are on one file system
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd", ignored)) {
        const std::string target = fs::read_symlink(entry.path(), ignored).string();
        struct stat file {};
        if (target.rfind("/memfd:", 0) == 0 && ::stat(entry.path().c_str(), &file) == 0)
            files[file.st_ino] = static_cast<byte_count>(file.st_blocks) * 512;
    }
    byte_count sum = 0;
    for (const auto& [number, bytes] : files)
        sum += bytes;
    return sum;
}

byte_count above(byte_count value, byte_count baseline) {
    return value > baseline ? value - baseline : 0;
}

} // namespace

byte_count host_memory_now() {
    const status now = read_status();
    return now.anonymous + now.file + memfd_bytes();
}

memory_meter::memory_meter() : baseline_(host_memory_now()) {
    std::ofstream reset("/proc/self/clear_refs"); // "5" sets the high-water mark back
    reset << "5" << std::flush;
    watermark_reset_ = reset.good();
    resident_baseline_ = read_status().resident;
}

byte_count memory_meter::sample() {
    const byte_count now = above(host_memory_now(), baseline_);
    peak_ = std::max(peak_, now);
    return now;
}

byte_count memory_meter::peak() const {
    if (!watermark_reset_ || memfd_bytes() != 0)
        return peak_;
    return std::max(peak_, above(read_status().high_water, resident_baseline_));
}

} // namespace overcommit
