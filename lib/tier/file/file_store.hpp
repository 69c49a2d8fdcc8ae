// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The storage of a file tier: one file or block device for all shards of a manager, opened with
/// O_DIRECT, with its extents.
///
///     path is ...        what is used                                 on exit
///     a directory        an unlinked file in it, mode 0600            gone
///     a file name        a file, mode 0600, header page, locked       removed, or kept (`keep`)
///     a block device     all of it or `size`, opened exclusively      contents are garbage
///
/// An existing file is overwritten only if it is empty or carries the header, that is, was made by
/// an earlier run. What has been stored cannot be read by a later run: the page tables are gone.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <sys/types.h>

#include "kernel/file_descriptor.hpp"
#include "tier/file/slot_store.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Removes a named file when it goes out of scope, unless another file has its name by then.
class file_remover {
  public:
    file_remover() = default;
    /// `fd` is open on `path`.
    file_remover(std::string path, int fd);
    file_remover(file_remover&& other) noexcept;
    file_remover& operator=(file_remover&& other) noexcept;
    ~file_remover();

    void dismiss() noexcept { path_.clear(); }

  private:
    std::string path_; ///< empty: nothing to remove
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

class file_store final : public slot_store {
  public:
    /// Opens, sizes, and reserves the blocks. Throws setup_error; nothing stays behind then.
    explicit file_store(const file_tier_config& config);

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

    /// Whether freed slots should be given to discard(). Not where the blocks were reserved:
    /// giving them back would break the promise that a full disk shows at start. Any thread.
    [[nodiscard]] bool discards() const noexcept override {
        return discards_.load(std::memory_order_relaxed); // a hint, orders nothing
    }
    /// Gives the blocks of free slots back to the file system or device. A system call that may
    /// wait for I/O on the file. Any thread; no I/O on the slots may be under way.
    void discard(slot_run run) noexcept override;

  private:
    void open(const file_tier_config& config);
    void set_size(const file_tier_config& config);

    file_descriptor fd_;
    file_remover remover_;
    bool device_ = false;
    std::uint64_t header_bytes_ = 0;
    std::atomic<bool> discards_{false};
};

} // namespace uffdmm
