// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// migration_target on the shards of a region.
///
///     put / zero / adopt ─► collected: the pages of one aligned window of 64 ─► arrive command of
///                           the shard ─► pages that are in the guest already are written here
///
/// A page that is in the guest is written by this thread, as a VMM would do it: the shard must not
/// touch guest memory, and if the page leaves meanwhile the write faults it in again.

#include <array>
#include <memory>

#include "manager/managed_region.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/engine/arrival_job.hpp"
#include "uffdmm/migration.hpp"

namespace uffdmm {

class region_target final : public migration_target {
  public:
    explicit region_target(std::shared_ptr<region_link> link);
    ~region_target() override;

    result<void> put(byte_count offset, std::span<const std::byte> contents, warmth how) override;
    result<void> zero(byte_count offset, byte_count length) override;
    result<void> adopt(byte_count offset, const location& place) override;
    result<void> flush() override;

    static constexpr page_count most = arrival_job::most;
    /// Pages of one window that arrive together; masks as in arrival_job.
    struct window {
        byte_count offset = 0;
        std::uint64_t pages = 0;
        std::uint64_t zeros = 0;
        std::uint64_t located = 0;
        std::uint64_t cold = 0;
        std::uint64_t lost = 0;
        bool expected = false;
    };
    /// For a restoration, which fills these and delivers windows of its own, `expected`.
    [[nodiscard]] std::byte* contents() const { return contents_.data(); }
    [[nodiscard]] std::span<location> locations() { return locations_; }
    result<void> deliver(managed_region& region, const window& some);

  private:
    [[nodiscard]] result<managed_region*> region();
    result<managed_region*> checked(byte_count offset, byte_count length);
    result<page_count> make_place(byte_count offset);
    result<void> arrive(const region_part& part, const window& some, page_count first);
    result<void> finish(managed_region& region, const window& some, std::uint64_t present);
    result<void> replace_by_location(managed_region& region, const window& some, page_count index);
    result<void> write_zeros(managed_region& region, byte_count offset, bool present);

    std::shared_ptr<region_link> link_;
    window collected_;
    mapping contents_; ///< of the window's pages
    std::array<location, most> locations_;
    arrival_job job_;
};

} // namespace uffdmm
