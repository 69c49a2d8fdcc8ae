// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A connection to an NBD server, from set-up to the end of the handshake, and what the server has
/// said about the export.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "uffdmm/config.hpp"

struct nbd_handle; // libnbd's

namespace uffdmm {

struct nbd_closer {
    void operator()(::nbd_handle* handle) const noexcept;
};
/// A connected handle. Whoever holds it makes all calls; closing it drops what is under way.
using nbd_session = std::unique_ptr<::nbd_handle, nbd_closer>;

/// Why there is no session.
struct nbd_failure {
    int os_errno = 0; ///< 0: none that would tell
    std::string text;
};

/// What the server offers.
struct nbd_export {
    std::uint64_t bytes = 0;
    std::uint64_t least_block = 1; ///< offsets and lengths are multiples of it
    std::uint32_t most_bytes = 0;  ///< in one request
    bool read_only = false;
    bool trims = false;
    bool flushes = false;
    bool forces_unit_access = false; ///< a write can be made to end when it is on stable storage
    bool many_connections = false;   ///< what one connection writes the others read
};

/// Connects and shakes hands; waits, `timeout` at most, and not much longer than until `stop` is
/// set. A host name may take the resolver as long as it likes. Throws nbd_failure. Any thread.
[[nodiscard]] nbd_session connect_nbd(const nbd_tier_config& config,
                                      std::chrono::milliseconds timeout,
                                      const std::atomic<bool>& stop);

/// The session's export. Throws nbd_failure.
[[nodiscard]] nbd_export export_of(const nbd_session& session);

/// Gives the first `trimmed` bytes of the export back and says good-bye; waits until `end` at most.
/// For a session with nothing under way.
void say_good_bye(nbd_session session, std::uint64_t trimmed,
                  std::chrono::steady_clock::time_point end) noexcept;

} // namespace uffdmm
