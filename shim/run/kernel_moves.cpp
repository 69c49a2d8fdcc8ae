// SPDX-License-Identifier: BSD-3-Clause
#include "run/kernel_moves.hpp"

#include <atomic>
#include <exception>

#include "kernel/features.hpp"
#include "kernel/userfaultfd_abi.hpp"
#include "run/inside.hpp"
#include "uffdmm/result.hpp"

namespace preload {
namespace {

enum class answer : int { unknown, yes, no };

/// The kernel's, for as long as the process lives. Relaxed: it is all there is to see.
std::atomic<answer> known{answer::unknown};

} // namespace

/// Two threads may both ask, and hear the same.
bool kernel_moves_pages() noexcept {
    if (known.load(std::memory_order_relaxed) == answer::unknown) {
        const inside_scope library;
        answer found = answer::no;
        try {
            const uffdmm::kernel_probe kernel = uffdmm::probe_kernel();
            // Without a userfaultfd nothing is managed.
            if (kernel.access != uffdmm::errc::ok || kernel.has(UFFD_FEATURE_MOVE))
                found = answer::yes;
        } catch (const std::exception&) {
            found = answer::no;
        }
        known.store(found, std::memory_order_relaxed);
    }
    return known.load(std::memory_order_relaxed) == answer::yes;
}

} // namespace preload
