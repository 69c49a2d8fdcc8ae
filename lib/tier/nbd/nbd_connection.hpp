// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// One of the connections of a link: requests in flight, answers as they come.
///
///               open()            closed by the server, an error, or close()
///     closed ───────────► ready ────────────────────────────────────────────► closed

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "tier/nbd/nbd_command.hpp"
#include "tier/nbd/nbd_session.hpp"

namespace uffdmm {

class nbd_connection;

/// All on the I/O thread.
class nbd_connection_listener {
  public:
    /// The server has answered: 0 or an errno.
    virtual void answered(nbd_command& command, int os_errno) noexcept = 0;
    /// The connection cannot be used any more. close() follows.
    virtual void broken(nbd_connection& connection) noexcept = 0;

  protected:
    ~nbd_connection_listener() = default;
};

/// I/O thread only. Handlers of the io_context may refer to it: it lives as long as that.
class nbd_connection {
  public:
    nbd_connection(boost::asio::io_context& context, std::size_t depth, bool durable,
                   nbd_connection_listener& listener);
    nbd_connection(const nbd_connection&) = delete;
    nbd_connection& operator=(const nbd_connection&) = delete;
    ~nbd_connection();

    /// Takes over a session whose handshake is done. False, with errno, and the session is dropped,
    /// where the process has no descriptor left.
    [[nodiscard]] bool open(nbd_session session) noexcept;
    [[nodiscard]] bool ready() const noexcept { return session_ != nullptr; }
    /// Whether a ready connection is broken, though the listener may not have been told yet.
    [[nodiscard]] bool over() const noexcept;
    [[nodiscard]] std::size_t in_flight() const noexcept { return under_way_.size(); }
    template <typename Chosen>
    [[nodiscard]] bool has_under_way(Chosen&& chosen) const noexcept {
        return std::any_of(under_way_.begin(), under_way_.end(),
                           [&](const nbd_command* command) { return chosen(*command); });
    }

    /// Sends `command.sent_bytes` of a command from or to `buffer`. Returns 0, or an errno if the
    /// server was not asked. settle() must follow before anything else happens.
    [[nodiscard]] int send(nbd_command& command, std::byte* buffer) noexcept;
    /// Deals with what came of send(): the listener may be told that the connection is broken.
    void settle() noexcept;
    /// Ends a ready connection. Afterwards nothing touches the buffers of its commands, which are
    /// those returned.
    [[nodiscard]] std::vector<nbd_command*> close() noexcept;
    /// The session of a ready connection with nothing under way, for a good-bye.
    [[nodiscard]] nbd_session release() noexcept;

    // For the link.
    std::uint64_t retry_at_ns = 0; ///< when to connect again; 0: now
    std::uint64_t backoff_ns = 0;
    bool connecting = false;

  private:
    static int completed(void* user_data, int* os_errno) noexcept;
    void wait_for_socket() noexcept;
    void forget(nbd_command& command) noexcept;
    void detach() noexcept;

    boost::asio::posix::stream_descriptor socket_;
    nbd_connection_listener& listener_;
    bool durable_;
    nbd_session session_;
    std::uint64_t number_ = 0; ///< of the session, so that late handlers know it is gone
    bool waits_to_read_ = false;
    bool waits_to_write_ = false;
    bool touched_ = false; ///< send() was called since the last settle()
    std::vector<nbd_command*> under_way_;
    std::vector<nbd_command*> answers_; ///< scratch: not told to the listener yet
};

} // namespace uffdmm
