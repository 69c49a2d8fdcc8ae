// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// One shard's way to the link: an aio_queue whose I/O is done by the link's thread.

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernel/file_descriptor.hpp"
#include "tier/file/aio_queue.hpp"
#include "tier/nbd/nbd_link.hpp"

namespace uffdmm {

class nbd_queue final : public aio_queue, private nbd_requester {
  public:
    /// Throws setup_error.
    nbd_queue(std::shared_ptr<nbd_link> link, unsigned depth);
    ~nbd_queue() override;

    [[nodiscard]] int submit(std::span<io_op* const> ops) noexcept override;
    [[nodiscard]] std::size_t reap(std::span<io_op*> out) noexcept override;
    /// Cancels what is under way: for the end of the tier.
    void wait() noexcept override;
    [[nodiscard]] int event_fd() const noexcept override { return event_.get(); }
    void arm() noexcept override { raise(); }
    [[nodiscard]] bool reachable() const noexcept override { return link_->reachable(); }
    [[nodiscard]] byte_count memory_bytes() const noexcept override;

  private:
    void ended(nbd_command& command) noexcept override;
    void signal() noexcept override { raise(); }
    void raise() noexcept;
    [[nodiscard]] bool clear_signals() noexcept;

    std::shared_ptr<nbd_link> link_;
    file_descriptor event_;
    std::vector<nbd_command> commands_;
    std::vector<nbd_command*> free_;
    /// Ended and not reaped, newest first. Release in ended() pairs with acquire in reap().
    std::atomic<nbd_command*> done_{nullptr};
    /// Signals that were written to event_. Raised after the write, so that the last thing that
    /// signal() does to this object comes before reap() believes it. Release and acquire.
    std::atomic<std::uint64_t> raised_{0};
    std::uint64_t cleared_ = 0; ///< signals that were read
};

} // namespace uffdmm
