// SPDX-License-Identifier: BSD-3-Clause
#include "placement/cpu_affinity.hpp"

#include <csignal>

#include <unistd.h>

namespace uffdmm {
namespace {

/// A message may name a thread of a process that reads our memory, which is none of our business.
bool may_be_bound(std::uint32_t thread) noexcept {
    const pid_t process = ::getpid();
    const auto number = static_cast<pid_t>(thread);
    return number != process && ::tgkill(process, number, 0) == 0;
}

class kernel_affinity final : public cpu_affinity {
  public:
    std::optional<cpu_set_t> get(std::uint32_t thread) noexcept override {
        cpu_set_t cpus;
        const auto number = static_cast<pid_t>(thread);
        if (!may_be_bound(thread) || ::sched_getaffinity(number, sizeof cpus, &cpus) != 0)
            return std::nullopt;
        return cpus;
    }
    bool set(std::uint32_t thread, const cpu_set_t& cpus) noexcept override {
        return ::sched_setaffinity(static_cast<pid_t>(thread), sizeof cpus, &cpus) == 0;
    }
    std::uint32_t this_thread() noexcept override { return static_cast<std::uint32_t>(::gettid()); }
    unsigned this_cpu() noexcept override {
        const int cpu = ::sched_getcpu();
        return cpu < 0 ? 0 : static_cast<unsigned>(cpu);
    }
};

} // namespace

cpu_affinity& linux_affinity() noexcept {
    static kernel_affinity instance;
    return instance;
}

} // namespace uffdmm
