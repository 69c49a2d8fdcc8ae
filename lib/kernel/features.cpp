// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/features.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kernel/userfaultfd.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/manager.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {
namespace {

struct named_feature {
    std::uint64_t bit;
    const char* name;
};
constexpr named_feature names[] = {
    {UFFD_FEATURE_MOVE, "move"},
    {UFFD_FEATURE_POISON, "poison"},
    {UFFD_FEATURE_PAGEFAULT_FLAG_WP, "wp"},
    {UFFD_FEATURE_WP_HUGETLBFS_SHMEM, "wp-shmem"},
    {UFFD_FEATURE_WP_UNPOPULATED, "wp-unpopulated"},
    {UFFD_FEATURE_WP_ASYNC, "wp-async"},
    {UFFD_FEATURE_MISSING_SHMEM, "missing-shmem"},
    {UFFD_FEATURE_MINOR_SHMEM, "minor-shmem"},
    {UFFD_FEATURE_MISSING_HUGETLBFS, "missing-hugetlb"},
    {UFFD_FEATURE_MINOR_HUGETLBFS, "minor-hugetlb"},
    {UFFD_FEATURE_EVENT_REMOVE, "event-remove"},
    {UFFD_FEATURE_EVENT_UNMAP, "event-unmap"},
    {UFFD_FEATURE_EVENT_REMAP, "event-remap"},
    {UFFD_FEATURE_EVENT_FORK, "event-fork"},
    {UFFD_FEATURE_THREAD_ID, "thread-id"},
    {UFFD_FEATURE_EXACT_ADDRESS, "exact-address"},
    {UFFD_FEATURE_SIGBUS, "sigbus"},
};

bool probe_process_madvise() {
    const file_descriptor self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    const mapping memory = mapping::anonymous(page_size);
    const iovec piece{memory.data(), page_size};
    return self && ::syscall(SYS_process_madvise, self.get(), &piece, 1, MADV_DONTNEED, 0) ==
                       static_cast<long>(page_size);
}

} // namespace

kernel_probe probe_kernel() {
    kernel_probe probe;
    probe.process_madvise = probe_process_madvise();
    try {
        probe.features = userfaultfd::available_features();
    } catch (const setup_error& e) {
        probe.access = e.code();
        probe.reason = e.what();
    }
    return probe;
}

std::string to_string(const kernel_probe& probe) {
    if (probe.access != errc::ok)
        return probe.reason;
    std::string line;
    for (const named_feature& feature : names)
        if (probe.has(feature.bit))
            line += std::string(feature.name) + " ";
    if (probe.process_madvise)
        line += "process-madvise ";
    if (!line.empty())
        line.pop_back();
    return line;
}

std::string kernel_features() {
    return to_string(probe_kernel());
}

} // namespace uffdmm
