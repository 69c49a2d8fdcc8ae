// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// migration_source on the shards of a region.
///
///     page(offset) ─► in the window, unmarked? ─► the record of the window
///                  ─► in the window, marked    ─► peek of this page alone
///                  ─► in the window ahead      ─► that becomes the window once its peek has ended,
///                                                 and the other one is sent ahead
///                  ─► elsewhere                ─► the window moves here: peek of up to 64 pages,
///                                                 watched by the shard
///
/// Windows grow and shrink with the share of their pages that is asked for: a first pass asks for
/// page after page, later ones for a few here and there. Once they are at their largest, the shard
/// peeks at the pages ahead while the VMM sends those of the window.

#include <array>
#include <memory>
#include <optional>
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

    /// Pages that were looked at together, or are being looked at.
    struct window {
        region_part part; ///< where it is; its run is what was looked at
        byte_count offset = 0;
        page_count asked = 0; ///< pages of it that were asked for
        std::array<page_record, most> records;
        std::array<location, most> locations;
        peek_job job;
        std::optional<command> looking; ///< posted; not waited for yet

        [[nodiscard]] bool has(byte_count at) const {
            return at >= offset && at < offset + bytes_of(part.run.count);
        }
        [[nodiscard]] byte_count end() const { return offset + bytes_of(part.run.count); }
    };

    [[nodiscard]] result<managed_region*> region();
    [[nodiscard]] window& current() { return windows_[current_]; }
    [[nodiscard]] window& ahead() { return windows_[1 - current_]; }
    [[nodiscard]] std::byte* contents_of(const window& some) const {
        return contents_.data() + (&some == &windows_[0] ? 0 : bytes_of(most));
    }
    /// Of the page that is asked for alone.
    [[nodiscard]] std::byte* single_contents() const {
        return contents_.data() + 2 * bytes_of(most);
    }
    result<void> move_window(managed_region& region, byte_count offset);
    result<void> start(managed_region& region, window& some, byte_count offset);
    result<void> await(window& some);
    result<void> peek(const region_part& part, const look_output& out);
    void prepare(peek_job& job, const look_output& out, bool watch);
    void ask_the_file(managed_region& region, byte_count offset, page_record& record) const;
    [[nodiscard]] page_view view_of(const window& some, page_count index) const;
    result<void> end(bool leases_stay);

    std::shared_ptr<region_link> link_;
    const migration_source_options options_;
    bool ended_ = false;
    page_count length_ = 8; ///< of the next window
    std::array<window, page_watch::windows> windows_;
    std::size_t current_ = 0;
    mapping contents_;   ///< of the windows' pages, and of one more
    page_record single_; ///< of a page that changed since the window was looked at
    location single_place_;
    peek_job job_; ///< of what is waited for at once
};

} // namespace uffdmm
