// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/limit_mover.hpp"

#include <algorithm>
#include <chrono>

namespace overcommit {
namespace {

constexpr auto pause = std::chrono::milliseconds(300);
constexpr uffdmm::byte_count least_limit = 4u << 20;

} // namespace

limit_mover::limit_mover(uffdmm::manager& manager, limit_promise& promise, std::uint64_t seed)
    : manager_(manager), promise_(promise), first_limit_(manager.limit()), random_(mix(seed)),
      thread_([this] { work(); }) {
}

void limit_mover::stop() {
    if (!thread_.joinable())
        return;
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    stopping_.notify_all();
    thread_.join();
    change_to(first_limit_);
}

void limit_mover::work() {
    std::unique_lock lock(mutex_);
    while (!stopping_.wait_for(lock, pause, [this] { return stop_; })) {
        lock.unlock();
        const uffdmm::byte_count half = first_limit_ / 2;
        change_to(std::max(least_limit, half + random_.below(half + 1)));
        lock.lock();
    }
}

void limit_mover::change_to(uffdmm::byte_count limit) {
    if (limit >= promise_.allowed())
        promise_.allow(limit);
    if (manager_.set_limit(limit).ok()) {
        promise_.allow(limit);
        ++changes_;
    } else {
        ++refused_;
    }
}

} // namespace overcommit
