// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Single requests that are waited for, as set-up and handover have them.

#include <cstddef>
#include <cstdint>
#include <future>
#include <span>

#include "tier/nbd/nbd_link.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {

/// All calls from one thread, which is no shard's and not the link's: they wait for the server. A
/// read waits for one that is away, until the link gives it up; the others fail.
class nbd_call final : private nbd_requester {
  public:
    explicit nbd_call(nbd_link& link) : link_(link) {}
    nbd_call(const nbd_call&) = delete;
    nbd_call& operator=(const nbd_call&) = delete;
    ~nbd_call() { link_.leave(*this); }

    /// A page at most.
    [[nodiscard]] result<void> read(std::uint64_t offset, std::span<std::byte> out);
    [[nodiscard]] result<void> write(std::uint64_t offset, std::span<std::byte> bytes);
    /// Writes that have ended, of whatever connection, are durable and visible to all.
    [[nodiscard]] result<void> flush();

  private:
    [[nodiscard]] result<void> run(nbd_command::kind what, std::uint64_t offset,
                                   std::span<std::byte> buffer);
    void ended(nbd_command& command) noexcept override { result_.set_value(command.result); }
    void signal() noexcept override {}

    nbd_link& link_;
    nbd_command command_;
    iovec buffer_{};
    std::promise<std::int64_t> result_;
};

} // namespace uffdmm
