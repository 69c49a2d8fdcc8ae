// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What a migration's objects know their region by: they may outlive it, and it must not be removed
/// under them.

#include <atomic>

namespace uffdmm {

class managed_region;

/// Shared by the region and those objects.
class region_link {
  public:
    explicit region_link(managed_region& region) : region_(&region) {}

    /// nullptr once the region is gone.
    /// acquire: pairs with the release in region_gone().
    [[nodiscard]] managed_region* region() const { return region_.load(std::memory_order_acquire); }
    void region_gone() { region_.store(nullptr, std::memory_order_release); }

    /// Returns false if there is one already.
    /// acq_rel: a new source sees what the last one has left in the shards.
    [[nodiscard]] bool source_begins() {
        return !source_.exchange(true, std::memory_order_acq_rel);
    }
    void source_ended() { source_.store(false, std::memory_order_release); }

    void target_begins() { targets_.fetch_add(1, std::memory_order_acq_rel); }
    void target_ended() { targets_.fetch_sub(1, std::memory_order_release); }

    /// Returns false if there is one already: its contents would come after those of the next.
    [[nodiscard]] bool restoration_begins() {
        return !restored_.exchange(true, std::memory_order_acq_rel);
    }
    void restoration_ended() { restored_.store(false, std::memory_order_release); }

    /// A thread works on the region, and looks at ending() from time to time.
    void worker_begins() { workers_.fetch_add(1, std::memory_order_acq_rel); }
    void worker_ended() {
        workers_.fetch_sub(1, std::memory_order_release);
        workers_.notify_all();
    }
    [[nodiscard]] bool ending() const { return ending_.load(std::memory_order_relaxed); }
    /// The region is about to end: waits for its workers.
    /// acquire: pairs with the release in worker_ended().
    void end_workers() {
        ending_.store(true, std::memory_order_relaxed);
        for (unsigned n; (n = workers_.load(std::memory_order_acquire)) != 0;)
            workers_.wait(n, std::memory_order_acquire);
    }

    [[nodiscard]] bool in_use() const {
        return source_.load(std::memory_order_acquire) ||
               targets_.load(std::memory_order_acquire) != 0;
    }

  private:
    std::atomic<managed_region*> region_;
    std::atomic<bool> source_{false};
    std::atomic<bool> restored_{false};
    std::atomic<unsigned> targets_{0};
    std::atomic<unsigned> workers_{0};
    std::atomic<bool> ending_{false};
};

} // namespace uffdmm
