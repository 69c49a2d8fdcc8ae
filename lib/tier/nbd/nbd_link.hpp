// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The way to an NBD server: several connections with several requests in flight on each, shared by
/// all shards of a manager, and kept up by a thread of its own (README.md says why).
///
///     shards ─ submit() ─► mailbox ─► reads / writes ─► connection with the fewest requests
///                                      ▲                   │ answer           │ lost
///                                      └── sent again ─────┼──────────────────┘
///                                                          ▼
///                                               nbd_requester::ended(), signal() once a round
///
///              the last connection is lost              lost_after has passed
///     up ────────────────────────────────────► away ──────────────────────────► given up
///      ▲    writes end with ENOTCONN at once:   │      reads end with ETIMEDOUT,   │
///      │    those not sent now, those sent      │      at once                     │
///      │    before after a short patience;      │                                  │
///      │    reads wait                          │                                  │
///      └────────────────────────────────────────┴──────────────────────────────────┘
///                              a connection is there again

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include "tier/nbd/bounce_buffers.hpp"
#include "tier/nbd/late_writes.hpp"
#include "tier/nbd/nbd_command.hpp"
#include "tier/nbd/nbd_connection.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/detail/mutex.hpp"
#include "uffdmm/executor.hpp"

namespace uffdmm {

class nbd_link final : private waker, private nbd_connection_listener {
  public:
    /// Connects once and checks the export; the other connections come up later. Throws setup_error
    /// naming the key.
    explicit nbd_link(const nbd_tier_config& config);
    nbd_link(const nbd_link&) = delete;
    nbd_link& operator=(const nbd_link&) = delete;
    /// All requesters have left. Gives the export's storage back, if so configured.
    ~nbd_link();

    /// Bytes to be used of the export, a multiple of 4096.
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
    /// Requests that can be in flight at once.
    [[nodiscard]] unsigned depth() const noexcept { return depth_; }

    /// Whether a flush of one client makes what all have written visible to all.
    [[nodiscard]] bool one_for_all() const noexcept { return one_for_all_; }

    // Any thread.
    /// Whether a connection is there. A change is signalled to every requester after it.
    [[nodiscard]] bool reachable() const noexcept {
        return reachable_.load(std::memory_order_relaxed); // a hint, orders nothing
    }
    /// Whether the server takes trims.
    [[nodiscard]] bool trims() const noexcept { return trims_.load(std::memory_order_relaxed); }
    void submit(nbd_command& command) noexcept { mail_.post(command); }
    void join(nbd_requester& requester);
    /// Ends what the requester has here, with ECANCELED where it was not answered, and returns when
    /// nothing will be said to it any more. Waits for the I/O thread, and a little for the server.
    void leave(nbd_requester& requester) noexcept;
    /// Host memory for buffers, as a share for each that has joined.
    [[nodiscard]] byte_count memory_share() const noexcept;

  private:
    friend struct nbd_command;
    struct departure;

    void wake() noexcept override;
    void serve() noexcept;
    void watch_wakeups();

    void arrived(nbd_command& command) noexcept;
    void leaving(departure& leaver);
    void cancel_waiting(const nbd_requester& requester) noexcept;
    void dispatch() noexcept;
    [[nodiscard]] nbd_connection* freest() noexcept;
    [[nodiscard]] bool can_send() noexcept;
    [[nodiscard]] nbd_command* next_to_send() noexcept;
    [[nodiscard]] std::byte* fill_buffer(nbd_command& command) noexcept;
    void send(nbd_connection& connection, nbd_command& command) noexcept;
    void empty_buffer(nbd_command& command, bool arrived) noexcept;

    void answered(nbd_command& command, int os_errno) noexcept override;
    void broken(nbd_connection& connection) noexcept override;
    void unanswered(nbd_command& command) noexcept;
    void end(nbd_command& command, std::int64_t result) noexcept;
    void signal(nbd_requester& requester) noexcept;
    void signal_all() noexcept;
    void signal_now() noexcept;

    void went_away() noexcept;
    void came_back() noexcept;
    void connect_due() noexcept;
    void connect(nbd_connection& connection);
    void connected(nbd_connection& connection, nbd_session session) noexcept;
    void connect_failed(nbd_connection& connection) noexcept;
    [[nodiscard]] bool still_fits(const nbd_export& e) const noexcept;

    void plan_tick();
    void tick() noexcept;
    void drop_silent_connections() noexcept;
    void give_up_overdue() noexcept;
    void see_leavers_off() noexcept;

    const nbd_tier_config config_;
    std::uint64_t bytes_ = 0;
    std::uint32_t most_bytes_ = 0;
    unsigned depth_ = 0;
    bool one_for_all_ = false;
    std::atomic<bool> trims_{false};
    std::atomic<bool> reachable_{true};
    std::atomic<bool> stopping_{false}; ///< set once by the destructor, read by all threads here

    mailbox mail_;
    boost::asio::io_context context_{1};
    int wakeup_fd_ = -1;
    boost::asio::posix::stream_descriptor wakeups_; ///< owns wakeup_fd_
    boost::asio::steady_timer timer_;
    std::optional<boost::asio::thread_pool> connector_; ///< resolves, connects, shakes hands

    mutex mutex_;
    std::vector<nbd_requester*> requesters_ UFFDMM_GUARDED_BY(mutex_);
    std::atomic<std::size_t> joined_{0}; ///< how many these are: a figure, orders nothing

    // I/O thread only.
    std::vector<std::unique_ptr<nbd_connection>> connections_;
    std::size_t ready_ = 0; ///< connections
    nbd_command_list reads_;
    nbd_command_list writes_; ///< and trims
    unsigned reads_in_a_row_ = 0;
    std::size_t commands_ = 0; ///< that have not ended
    late_writes late_;
    bounce_buffers buffers_;
    std::uint64_t away_since_ns_ = 0; ///< while ready_ is 0
    bool given_up_ = false;
    bool ticking_ = false;
    std::vector<nbd_requester*> to_signal_;
    std::vector<departure*> leavers_;

    std::thread thread_; ///< last: it uses all of the above
};

} // namespace uffdmm
