// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// migration_target on the shards of a region.
///
///     put / zero / adopt ─► collected: the pages of one aligned window of 64 ─► arrive command of
///                           the shard ─► pages that are in the guest already are written here
///
/// While one window arrives, the next is collected in the other place. One is on its way at a time,
/// so pages that are sent again arrive in order.
///
/// A page that is in the guest is written by this thread, as a VMM would do it: the shard must not
/// touch guest memory, and if the page leaves meanwhile the write faults it in again.

#include <array>
#include <memory>
#include <optional>

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
    [[nodiscard]] std::byte* contents() const { return places_[filling_].contents; }
    [[nodiscard]] std::span<location> locations() { return places_[filling_].locations; }
    result<void> deliver(managed_region& region, const window& some);

  private:
    /// Where a window is collected, and stays until it has arrived.
    struct shipment {
        window some;
        std::byte* contents = nullptr; ///< of the window's pages
        std::array<location, most> locations;
        arrival_job job;
        std::optional<command> arriving; ///< posted; not waited for yet
    };

    [[nodiscard]] result<managed_region*> region();
    result<managed_region*> checked(byte_count offset, byte_count length);
    [[nodiscard]] shipment& filling() { return places_[filling_]; }
    [[nodiscard]] shipment& other() { return places_[1 - filling_]; }
    result<page_count> make_place(byte_count offset);
    result<void> send(managed_region& region);
    result<void> await(managed_region& region, shipment& sent);
    result<void> deliver(managed_region& region, shipment& from);
    result<void> arrive(const region_part& part, shipment& from, const window& some,
                        page_count first);
    static void prepare(shipment& from, const window& some, page_run run, page_count first);
    result<void> finish(managed_region& region, shipment& from, std::uint64_t present);
    result<void> replace_by_location(managed_region& region, shipment& from, page_count index);
    result<void> write_zeros(managed_region& region, byte_count offset, bool present);

    std::shared_ptr<region_link> link_;
    mapping contents_; ///< of both places
    std::array<shipment, 2> places_;
    std::size_t filling_ = 0;
};

} // namespace uffdmm
