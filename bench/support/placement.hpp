// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Where the faulting thread and the thread that answers run. The wake-up between them is the
/// larger part of a fault, so nothing can be compared across placements.

#include <array>
#include <optional>

#include <sched.h>

namespace uffdmm::bench {

enum class placement {
    sleeping, ///< the answering thread sleeps on another CPU
    spinning, ///< it looks for faults all the time, on another CPU
    same_cpu  ///< it sleeps, and shares the CPU of the faulting thread
};
inline constexpr std::array placements{placement::sleeping, placement::spinning,
                                       placement::same_cpu};
[[nodiscard]] const char* to_string(placement where);

struct cpu_pair {
    int faulting = 0;
    int answering = 0;
};
/// Two CPUs this process may use; nothing if it may not use enough of them.
[[nodiscard]] std::optional<cpu_pair> cpus_for(placement where);

/// Keeps the calling thread on one CPU for a while. Threads started meanwhile stay there.
class pinned {
  public:
    explicit pinned(int cpu);
    pinned(const pinned&) = delete;
    pinned& operator=(const pinned&) = delete;
    ~pinned();

  private:
    cpu_set_t before_;
};

} // namespace uffdmm::bench
