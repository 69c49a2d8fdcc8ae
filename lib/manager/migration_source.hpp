// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// migration_source on the shards of a region.
///
///     page(offset) ─► in the window, unmarked? ─► the record of the window
///                  ─► in the window, marked    ─► peek of this page alone
///                  ─► outside                  ─► the window moves here: peek of up to 64 pages,
///                                                 watched by the shard
///
/// The window grows and shrinks with the share of its pages that is asked for: a first pass asks
/// for page after page, later ones for a few here and there.

#include <array>
#include <memory>
#include <vector>

#include "manager/managed_region.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/engine/peek_job.hpp"
#include "uffdmm/migration.hpp"

namespace uffdmm {

class region_source final : public migration_source {
  public:
    /// The region lends itself by `link`, and knows that it does.
    region_source(std::shared_ptr<region_link> link, const migration_source_options& options);
    ~region_source() override;

    result<page_view> page(byte_count offset) override;
    result<void> look(byte_count offset, byte_count length, const look_output& out) override;
    result<std::vector<record_run>> walk(byte_count offset, byte_count length) override;
    result<void> complete() override;
    result<void> cancel() override;

  private:
    static constexpr page_count most = page_watch::most;

    /// The window that was looked at last.
    struct window {
        region_part part; ///< where it is; its run is what was looked at
        byte_count offset = 0;
        page_count asked = 0; ///< pages of it that were asked for
        std::array<page_record, most> records;
        std::array<location, most> locations;
    };

    [[nodiscard]] result<managed_region*> region();
    [[nodiscard]] bool in_window(byte_count offset) const {
        return offset >= window_.offset &&
               offset < window_.offset + bytes_of(window_.part.run.count);
    }
    result<void> move_window(managed_region& region, byte_count offset);
    result<void> peek(const region_part& part, const look_output& out, bool watch);
    void ask_the_file(managed_region& region, byte_count offset, page_record& record) const;
    [[nodiscard]] page_view view_of(page_count index) const;
    result<void> end(bool leases_stay);

    std::shared_ptr<region_link> link_;
    const migration_source_options options_;
    bool ended_ = false;
    page_count ahead_ = 8; ///< pages to look at next time
    window window_;
    mapping contents_;   ///< of the window's pages, and of one more
    page_record single_; ///< of a page that changed since the window was looked at
    location single_place_;
    peek_job job_;
};

} // namespace uffdmm
