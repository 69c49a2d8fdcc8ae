// SPDX-License-Identifier: BSD-3-Clause
#include "load/resident_log.hpp"

#include <chrono>
#include <fstream>
#include <utility>

#include <unistd.h>

namespace load {
namespace {

std::uint64_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::uint64_t total = 0;
    std::uint64_t resident = 0;
    statm >> total >> resident;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace

resident_log::resident_log() : thread_([this] { work(); }) {
}

resident_log::~resident_log() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    stopping_.notify_all();
    thread_.join();
}

std::vector<resident_log::sample> resident_log::take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(samples_, {});
}

void resident_log::work() {
    const auto start = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex_);
    while (!stop_) {
        const auto now = std::chrono::steady_clock::now();
        samples_.push_back({std::chrono::duration<double>(now - start).count(), resident_bytes()});
        stopping_.wait_until(lock, now + std::chrono::milliseconds(100), [this] { return stop_; });
    }
}

} // namespace load
