// SPDX-License-Identifier: BSD-3-Clause
#include "placement/gathered_threads.hpp"

#include <algorithm>

namespace uffdmm {

bool gathered_threads::gather(std::span<const std::uint32_t> threads) noexcept {
    const std::optional<unsigned> cpu = cpu_for(threads);
    if (!cpu)
        return false;
    cpu_ = *cpu;
    for (const std::uint32_t thread : threads)
        if (!add(thread)) {
            let_all_go();
            return false;
        }
    return true;
}

bool gathered_threads::add(std::uint32_t thread) noexcept {
    if (held_.size() == held_.capacity())
        return false;
    const std::optional<cpu_set_t> before = affinity_.get(thread);
    if (!before || !CPU_ISSET(cpu_, &*before) || !affinity_.set(thread, only()))
        return false;
    held_.push_back({thread, *before});
    return true;
}

void gathered_threads::let_all_go() noexcept {
    let_go_if([](std::uint32_t) { return true; });
}

bool gathered_threads::holds(std::uint32_t thread) const noexcept {
    return std::any_of(held_.begin(), held_.end(),
                       [&](const held& h) { return h.thread == thread; });
}

std::optional<unsigned>
gathered_threads::cpu_for(std::span<const std::uint32_t> threads) const noexcept {
    cpu_set_t common;
    CPU_ZERO(&common);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        CPU_SET(cpu, &common);
    for (const std::uint32_t thread : threads) {
        const std::optional<cpu_set_t> allowed = affinity_.get(thread);
        if (!allowed)
            return std::nullopt;
        CPU_AND(&common, &common, &*allowed);
    }
    if (const unsigned here = affinity_.this_cpu(); CPU_ISSET(here, &common))
        return here;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &common))
            return cpu;
    return std::nullopt;
}

cpu_set_t gathered_threads::only() const noexcept {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu_, &one);
    return one;
}

void gathered_threads::release(std::size_t index) noexcept {
    const held& h = held_[index];
    const cpu_set_t ours = only();
    const std::optional<cpu_set_t> now = affinity_.get(h.thread);
    // Nothing to be done where this fails: the thread has ended.
    if (now && CPU_EQUAL(&*now, &ours))
        (void)affinity_.set(h.thread, h.before);
    held_[index] = held_.back();
    held_.pop_back();
}

} // namespace uffdmm
