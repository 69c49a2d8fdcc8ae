// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Brings a snapshot's windows into a region on a thread of its own: the one that a fault waits for
/// first, the rest in order.
///
///     expect: all pages `arriving` ─► guest may run ─► faults wait and are told of (take_awaited)
///     thread: window ─► read from the file ─► verify ─► arrive command ─► … ─► accept the volume

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kernel/file_descriptor.hpp"
#include "manager/migration_target.hpp"
#include "manager/snapshot_format.hpp"
#include "uffdmm/snapshot.hpp"

namespace uffdmm {

class region_restoration final : public restoration {
  public:
    /// Throws setup_error only for lack of memory. Then open() and start(), neither of which leaves
    /// anything behind if it fails.
    explicit region_restoration(std::shared_ptr<region_link> link);
    ~region_restoration() override;

    /// Reads the index, attaches the volume, and makes every page of the region wait.
    result<void> open(managed_region& region, const std::string& path);
    result<void> start();

    result<void> wait() override;
    [[nodiscard]] byte_count restored_bytes() const noexcept override {
        return restored_.load(std::memory_order_relaxed);
    }

  private:
    using window = region_target::window;

    void work() noexcept;
    result<void> read_index(std::uint64_t windows);
    [[nodiscard]] std::uint64_t next_window(std::uint64_t& sequential);
    bool bring(std::uint64_t number);
    result<void> read(const snapshot_entry& entry, window& some);
    result<void> read_contents(const snapshot_entry& entry);
    result<void> read_extras(const snapshot_entry& entry, window& some);
    result<void> read_at(std::span<std::byte> to, std::uint64_t offset) const;
    void note(const result<void>& failure);

    std::shared_ptr<region_link> link_;
    managed_region* region_ = nullptr; ///< as long as the worker is counted in the link
    region_target target_;
    file_descriptor file_;
    snapshot_header header_;
    std::vector<snapshot_entry> index_;
    std::vector<bool> done_; ///< windows
    std::atomic<byte_count> restored_{0};
    result<void> outcome_; ///< the thread's until finished_
    std::atomic<bool> finished_{false};
    std::thread thread_;
};

} // namespace uffdmm
