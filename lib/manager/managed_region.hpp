// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A region on its shards: splits ranges of bytes into commands for the shards that own them.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel/guest_memory.hpp"
#include "manager/region_link.hpp"
#include "manager/shard_thread.hpp"
#include "uffdmm/manager.hpp"

namespace uffdmm {

/// A range inside one shard.
struct region_part {
    shard_thread* owner = nullptr;
    page_index base; ///< of the shard, in the region
    page_run run;    ///< in the shard
};

class managed_region final : public region {
  public:
    /// Takes the range over and starts its threads. Shards are numbered from `first_shard`. Throws
    /// setup_error; nothing stays behind.
    managed_region(const region_config& config, const shard_services& shared, unsigned first_shard);
    ~managed_region() override;

    [[nodiscard]] const std::string& name() const noexcept override { return name_; }
    [[nodiscard]] std::byte* data() const noexcept override { return memory_.data(); }
    [[nodiscard]] byte_count size() const noexcept override { return memory_.size(); }

    result<void> discard(byte_count offset, byte_count length) override;
    result<void> pin(byte_count offset, byte_count length) override;
    result<void> unpin(byte_count offset, byte_count length) override;
    result<std::vector<residency_run>> query(byte_count offset, byte_count length) override;
    result<void> prefetch(byte_count offset, byte_count length) override;
    result<byte_count> evict(byte_count offset, byte_count length) override;
    result<std::unique_ptr<migration_source>>
    begin_source(const migration_source_options& options) override;
    result<std::unique_ptr<migration_target>> begin_target() override;
    [[nodiscard]] shared_store* store() const noexcept override;
    result<snapshot_report> save(const std::string& path, const snapshot_options& options) override;
    result<std::unique_ptr<restoration>> restore(const std::string& path) override;

    /// Brings everything in, whatever the limit says, and keeps it there.
    result<void> bring_in();
    /// After bring_in(): ends fault handling and leaves plain memory behind. The region is good for
    /// nothing but destruction afterwards.
    void leave_memory() noexcept;
    /// Bytes that are in no memory now.
    [[nodiscard]] result<byte_count> swapped_bytes();

    [[nodiscard]] result<std::vector<region_part>> parts_of(byte_count offset, byte_count length);
    /// Whether the file of shared memory has contents for the page; false for private memory.
    [[nodiscard]] bool file_has(byte_count offset) const noexcept;
    [[nodiscard]] bool file_has_any() const noexcept;
    /// A page of the region that a fault waits for while its contents are to come, or no_page.
    [[nodiscard]] page_index take_awaited() noexcept;
    [[nodiscard]] bool is_shared() const noexcept { return memory_.shared(); }
    /// Whether other hosts can read what is on the tier.
    [[nodiscard]] bool tier_is_shared(tier_number tier) const noexcept;
    /// Some migration reads or fills the region.
    [[nodiscard]] bool in_migration() const noexcept { return link_->in_use(); }

    /// Every page of the region waits for its contents, or none does.
    result<void> expect_all() {
        return run_or_undo(0, size(), command::kind::expect, command::kind::unexpect);
    }
    /// The same command on every shard, all of each; the first failure.
    result<void> run_on_all(command::kind what);
    result<void> wait_until_idle(std::chrono::steady_clock::time_point deadline);

    [[nodiscard]] const std::vector<std::unique_ptr<shard_thread>>& shards() const noexcept {
        return shards_;
    }

    /// Pages of each shard when a region of `size` bytes is split.
    [[nodiscard]] static std::vector<page_count> split(byte_count size, unsigned shards);

  private:
    using part = region_part;
    result<void> run(const std::vector<part>& parts, command::kind what);
    result<void> run_or_undo(byte_count offset, byte_count length, command::kind what,
                             command::kind undo);
    void adopt_contents();
    result<void> evict_all();
    result<void> discard_by_madvise(byte_count offset, byte_count length,
                                    const std::vector<part>& parts);

    std::string name_;
    std::shared_ptr<region_link> link_;
    guest_memory memory_;
    std::vector<std::unique_ptr<shard_thread>> shards_; ///< in order of their slices
};

} // namespace uffdmm
