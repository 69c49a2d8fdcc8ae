// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Writes a region to a snapshot, window by window, into a temporary file that gets its name when
/// everything is on the disk.

#include <array>
#include <string>
#include <vector>

#include <sys/uio.h>

#include "kernel/file_descriptor.hpp"
#include "manager/managed_region.hpp"
#include "manager/snapshot_format.hpp"
#include "uffdmm/migration.hpp"
#include "uffdmm/snapshot.hpp"

namespace uffdmm {

class snapshot_writer {
  public:
    /// `source` was begun with the same `options`.
    snapshot_writer(const managed_region& region, migration_source& source, std::string path);
    snapshot_writer(const snapshot_writer&) = delete;
    snapshot_writer& operator=(const snapshot_writer&) = delete;
    /// Removes the temporary file, unless finished.
    ~snapshot_writer();

    /// Opens the file and writes contents, locations and the index.
    result<void> write();
    /// Gives the file its name; `store`: nullptr, or what was offered with `nonce`.
    result<void> finish(const shared_store* store, const handover_nonce& nonce);

    [[nodiscard]] const snapshot_report& report() const { return report_; }

  private:
    static constexpr page_count most = snapshot_window;

    result<void> write_window(byte_count offset, page_count pages);
    result<void> add(page_count index, const page_record& record, byte_count offset);
    result<void> append_contents(snapshot_entry& entry);
    result<void> write_pieces();
    result<void> write_extras();
    result<void> write_at(std::span<const std::byte> bytes, std::uint64_t offset);
    result<void> sync_directory() const;

    const managed_region& region_;
    migration_source& source_;
    const std::string path_;
    const std::string temporary_;
    file_descriptor file_;
    snapshot_header header_;
    snapshot_report report_;
    std::uint64_t end_ = snapshot_header_bytes; ///< of the file so far
    std::vector<snapshot_entry> index_;
    std::vector<std::byte> extras_; ///< of all windows so far, relative to their own start
    // Of the window being written:
    mapping contents_;
    std::array<page_record, most> records_;
    std::array<location, most> locations_;
    std::array<iovec, most> pieces_;
    std::size_t used_pieces_ = 0;
};

} // namespace uffdmm
