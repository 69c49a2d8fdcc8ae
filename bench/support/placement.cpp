// SPDX-License-Identifier: BSD-3-Clause
#include "support/placement.hpp"

#include <vector>

#include "uffdmm/check.hpp"

namespace uffdmm::bench {
namespace {

cpu_set_t allowed_set() {
    cpu_set_t set;
    UFFDMM_CHECK(::sched_getaffinity(0, sizeof set, &set) == 0, "the affinity can be read");
    return set;
}

/// As it was before anybody was pinned.
const std::vector<int>& allowed_cpus() {
    static const std::vector<int> cpus = [] {
        const cpu_set_t set = allowed_set();
        std::vector<int> found;
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
            if (CPU_ISSET(cpu, &set))
                found.push_back(cpu);
        return found;
    }();
    return cpus;
}

} // namespace

const char* to_string(placement where) {
    switch (where) {
    case placement::sleeping:
        return "sleeping";
    case placement::spinning:
        return "spinning";
    case placement::same_cpu:
        return "same_cpu";
    }
    return "?";
}

std::optional<cpu_pair> cpus_for(placement where) {
    const std::vector<int>& cpus = allowed_cpus();
    if (where == placement::same_cpu)
        return cpu_pair{cpus.front(), cpus.front()};
    if (cpus.size() < 2)
        return {};
    return cpu_pair{cpus[0], cpus[1]};
}

pinned::pinned(int cpu) : before_(allowed_set()) {
    (void)allowed_cpus();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    UFFDMM_CHECK(::sched_setaffinity(0, sizeof one, &one) == 0, "an allowed CPU can be chosen");
}

pinned::~pinned() {
    (void)::sched_setaffinity(0, sizeof before_, &before_);
}

} // namespace uffdmm::bench
