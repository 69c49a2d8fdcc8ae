// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A program under control from outside, while it runs: one JSON object a line in, one JSON object
/// a line out, over a unix stream socket or whatever the embedder has.
///
///     {"command": "stats"}                    {"result": {...}}, as to_json(stats)
///     {"command": "limit"}                    {"result": {"limit_bytes": 268435456}}
///     {"command": "limit", "bytes": "512M"}   the same, once memory is below it
///     {"command": "list"}                     {"result": {"regions": [{"name": ..., "bytes": ...,
///                                                                      "resident_bytes": ...}]}}
///     {"command": "evict"}                    {"result": {"evicted_bytes": ...}}: all that can go
///     {"command": "evict", "region": "ram"}   the same, of one region
///
/// What cannot be done, or is not such an object, is answered {"error": "..."}, which names the key
/// and what is allowed.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "uffdmm/export.hpp"
#include "uffdmm/residency.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// A region as shown by "list". The states' bytes add up to `bytes`.
struct control_region {
    std::string name;
    std::uint64_t address = 0; ///< host virtual
    byte_count bytes = 0;
    byte_count untouched_bytes = 0;
    byte_count resident_bytes = 0;
    byte_count staged_bytes = 0;
    byte_count swapped_bytes = 0;
    byte_count poisoned_bytes = 0;
};

/// What is controlled. Called on one thread at a time, which must not touch managed memory.
class UFFDMM_CXX_API control_target {
  public:
    control_target() = default;
    control_target(const control_target&) = delete;
    control_target& operator=(const control_target&) = delete;
    virtual ~control_target() = default;

    /// A JSON object.
    virtual std::string statistics() = 0;
    virtual byte_count limit() = 0;
    /// May wait for memory to leave.
    virtual result<void> set_limit(byte_count limit) = 0;
    virtual result<std::vector<control_region>> regions() = 0;
    /// Takes the region ("": all of them) out of memory; gives the bytes that left. May wait.
    virtual result<byte_count> evict(std::string_view region) = 0;
};

/// The answer to one request, without the newline. Any thread, one at a time.
[[nodiscard]] UFFDMM_CXX_API std::string answer_control(control_target& target,
                                                        std::string_view request);

/// Serves a unix stream socket on a thread of its own ("uffdmm-control", all signals blocked).
/// Clients are served in turns, request by request; what one waits for, all wait for.
class UFFDMM_CXX_API control_server {
  public:
    /// Longest request in bytes. What is longer is refused, and the client's connection closed.
    static constexpr std::size_t longest_request = 4096;

    /// The socket is made at `path`, for the user alone (mode 0600). One that a dead process has
    /// left there is replaced, and so is that of the server with the identity `heir_of`; where
    /// another is served, or something else is, setup_error is thrown. `target` outlives the
    /// server.
    control_server(control_target& target, const std::string& path, std::string_view heir_of = {});
    /// Ends connections, after the request at work, and removes the socket if it is still its own.
    ~control_server();
    control_server(const control_server&) = delete;
    control_server& operator=(const control_server&) = delete;

    /// For a process that ends without destroying it: nobody finds the socket from now on. Any
    /// thread; takes no lock.
    void remove_socket() noexcept;
    /// In a child of fork, which has no such thread: the socket is the parent's alone. The server
    /// must not be destroyed there. Safe where only async-signal-safe calls are.
    void forget_in_child() noexcept;
    /// With this another process that goes on in this one's place (a daemon's child, a program
    /// that it starts) makes a server of its own, which takes the path over.
    [[nodiscard]] std::string identity() const;

  private:
    class impl;
    std::unique_ptr<impl> impl_;
};

} // namespace uffdmm
