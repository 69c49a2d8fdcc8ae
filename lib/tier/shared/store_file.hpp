// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The file of a shared store: opening and making it, reading and writing what is not pages, and
/// its locks.
///
/// Locks are on bytes of the file, by open file description (F_OFD_SETLK), so that they work
/// between hosts where the file system does that (NFSv4, GFS2, OCFS2, CephFS), between processes,
/// and between managers of one process; they end with the process. One byte is the table's: whoever
/// changes records or entries has it. Two bytes a volume say who lives: its holder, and those who
/// read from it.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "kernel/file_descriptor.hpp"
#include "tier/shared/format.hpp"
#include "tier/shared/pages_apart.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {

enum class life_lock : std::uint8_t {
    holder, ///< one at a time
    reader  ///< several
};

/// Owner: a volume_table, which lets one thread at a time call what is not const.
class store_file {
  public:
    /// Opens the store that `config.path` names; makes it if there is none and `config.size` says
    /// how large. With `apart`, its pages are there, and as many as there is room for unless the
    /// size says otherwise. Throws setup_error naming the key.
    explicit store_file(const file_tier_config& config, pages_apart* apart = nullptr);
    /// Opens one that is there.
    explicit store_file(const std::string& path);

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] const store_header& header() const noexcept { return header_; }
    [[nodiscard]] const store_geometry& geometry() const noexcept { return header_.geometry; }
    [[nodiscard]] bool direct() const noexcept { return direct_; }

    /// Waits for other hosts.
    [[nodiscard]] result<void> lock_table() noexcept;
    void unlock_table() noexcept;
    /// Without waiting; false if it is another's. Locks end with this object.
    [[nodiscard]] bool try_lock(std::uint32_t volume, life_lock which) noexcept;
    void unlock(std::uint32_t volume, life_lock which) noexcept;
    /// Whether another than this object has the lock; true if that cannot be known.
    [[nodiscard]] bool locked_elsewhere(std::uint32_t volume, life_lock which) const noexcept;

    [[nodiscard]] result<volume_record> read_volume(std::uint32_t volume);
    /// Durable when it returns. `sequence` and `changed` are filled in.
    [[nodiscard]] result<void> write_volume(std::uint32_t volume, volume_record record);

    /// Calls change(extent, entry) for the extents of [first, end) in order until it answers stop,
    /// and writes what it changed, durably. Damaged entries are passed over, and counted in
    /// *damaged.
    enum class next : std::uint8_t { go_on, stop };
    using entry_visitor = std::function<next(std::uint32_t extent, extent_entry& entry)>;
    [[nodiscard]] result<void> visit_entries(std::uint32_t first, std::uint32_t end,
                                             const entry_visitor& change,
                                             std::uint32_t* damaged = nullptr);

    /// All writes of pages that have ended are durable when it returns.
    [[nodiscard]] result<void> sync() noexcept;
    /// Gives the blocks of an extent in the file back to the file system, if that is possible.
    void punch(std::uint32_t extent) noexcept;

    /// Called before and after each write and each sync; tests end the process there.
    std::function<void(std::string_view step)> on_step;

  private:
    void open(const std::string& path, int flags);
    void take_header(const std::string& path, const char* advice);
    void create(const file_tier_config& config, const pages_apart* apart);
    void check_medium(const std::string& path, const pages_apart* apart) const;
    void prepare_io(const std::string& path);
    void extend(const file_tier_config& config);
    [[nodiscard]] result<void> read(std::uint64_t offset, std::size_t bytes) noexcept;
    [[nodiscard]] result<void> write(std::uint64_t offset, std::size_t bytes) noexcept;
    void step(std::string_view name) const {
        if (on_step)
            on_step(name);
    }

    file_descriptor fd_;
    store_header header_;
    bool direct_ = false;
    mapping buffer_; ///< for O_DIRECT
};

} // namespace uffdmm
