// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The CPUs that threads of this process may run on. An interface, so that tests can play any
/// machine.

#include <cstdint>
#include <optional>

#include <sched.h>

namespace uffdmm {

class cpu_affinity {
  public:
    virtual ~cpu_affinity() = default;

    /// CPUs of the thread with this number (gettid). None: it has ended, or is not to be bound.
    /// That is no thread of this process, or its first one, which is likely to start others, and
    /// these would be bound for good; or the machine has more CPUs than a cpu_set_t.
    [[nodiscard]] virtual std::optional<cpu_set_t> get(std::uint32_t thread) noexcept = 0;
    /// Returns whether the kernel did it.
    [[nodiscard]] virtual bool set(std::uint32_t thread, const cpu_set_t& cpus) noexcept = 0;
    /// The calling thread, and the CPU that it runs on.
    [[nodiscard]] virtual std::uint32_t this_thread() noexcept = 0;
    [[nodiscard]] virtual unsigned this_cpu() noexcept = 0;
};

/// The kernel's. Any thread.
[[nodiscard]] cpu_affinity& linux_affinity() noexcept;

} // namespace uffdmm
