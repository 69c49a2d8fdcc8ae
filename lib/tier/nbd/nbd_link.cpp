// SPDX-License-Identifier: BSD-3-Clause
#include "tier/nbd/nbd_link.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <future>
#include <string>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/asio/post.hpp>

#include "detail/signals_blocked.hpp"
#include "tier/nbd/nbd_refusal.hpp"
#include "uffdmm/check.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr std::uint64_t millisecond = 1'000'000;
/// TCP, TLS and NBD handshakes of one connection.
constexpr milliseconds connect_timeout{10'000};
constexpr std::uint64_t first_backoff_ns = 50 * millisecond;
constexpr std::uint64_t last_backoff_ns = 2'000 * millisecond;
/// Connections beyond the first may be more than the server wants.
constexpr std::uint64_t last_spare_backoff_ns = 30'000 * millisecond;
/// How long a write that was sent waits for a new connection before the page goes elsewhere: a
/// server that restarts is back by then.
constexpr std::uint64_t write_patience_ns = 5'000 * millisecond;
/// How long a server may have a request of a lost connection in its buffers.
constexpr std::uint64_t late_write_ns = 60'000 * millisecond;
/// How long a requester that leaves waits for answers.
constexpr std::uint64_t leave_patience_ns = 1'000 * millisecond;
constexpr milliseconds tick_time{50};
constexpr milliseconds good_bye_time{2'000};
constexpr unsigned most_reads_in_a_row = 8;

std::uint64_t now_ns() {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                          std::chrono::steady_clock::now().time_since_epoch())
                                          .count());
}

std::uint64_t in_ns(milliseconds time) {
    return static_cast<std::uint64_t>(time.count()) * millisecond;
}

int make_eventfd() {
    const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        throw setup_error(errc::system, std::string("eventfd failed: ") + ::strerrordesc_np(errno),
                          errno);
    return fd;
}

} // namespace

/// A requester that leaves; on the heap, since the waiting thread may be gone before the mail is
/// done with.
struct nbd_link::departure final : message {
    departure(nbd_link& l, nbd_requester& r) : link(l), requester(r) {}
    void deliver() noexcept override { link.leaving(*this); }

    nbd_link& link;
    nbd_requester& requester;
    std::promise<void> gone;
    std::uint64_t patience_until_ns = 0;
};

void nbd_command::deliver() noexcept {
    link->arrived(*this);
}

nbd_link::nbd_link(const nbd_tier_config& config)
    : config_(config), mail_(static_cast<waker&>(*this)), wakeup_fd_(make_eventfd()),
      wakeups_(context_, wakeup_fd_), timer_(context_) {
    nbd_session first = first_session(config_, connect_timeout);
    const nbd_export e = checked_export(config_, first);
    bytes_ = (config_.size == 0 ? e.bytes : config_.size) & ~std::uint64_t{page_size - 1};
    most_bytes_ = std::min<std::uint32_t>(e.most_bytes & ~std::uint32_t{page_size - 1},
                                          bounce_buffers::bytes);
    one_for_all_ = e.many_connections && e.flushes;
    trims_.store(e.trims, std::memory_order_relaxed);
    const unsigned wanted = e.many_connections ? config_.connections : 1;
    depth_ = wanted * config_.queue_depth;
    for (unsigned i = 0; i < wanted; ++i)
        connections_.push_back(
            std::make_unique<nbd_connection>(context_, config_.queue_depth, config_.durable,
                                             static_cast<nbd_connection_listener&>(*this)));
    if (!connections_.front()->open(std::move(first)))
        throw setup_error(errc::system,
                          std::string("dup of a socket failed: ") + ::strerrordesc_np(errno),
                          errno);
    ready_ = 1;
    watch_wakeups();
    const signals_blocked none;
    connector_.emplace(1);
    thread_ = std::thread([this] { serve(); });
    ::pthread_setname_np(thread_.native_handle(), "uffdmm-nbd");
}

nbd_link::~nbd_link() {
    stopping_.store(true, std::memory_order_release); // pairs with serve() and connect_nbd()
    wake();
    thread_.join();
    connector_->stop();
    connector_->join();
    const auto end = std::chrono::steady_clock::now() + good_bye_time;
    bool trim = config_.discard && trims();
    for (auto& connection : connections_)
        if (connection->ready() && !connection->over() && connection->in_flight() == 0)
            say_good_bye(connection->release(), std::exchange(trim, false) ? bytes_ : 0, end);
}

// ---- the thread ---------------------------------------------------------------------------------

void nbd_link::wake() noexcept {
    const std::uint64_t one = 1;
    (void)!::write(wakeup_fd_, &one, sizeof one);
}

void nbd_link::watch_wakeups() {
    wakeups_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const auto& error) {
        if (error)
            return;
        std::uint64_t wakes = 0;
        (void)!::read(wakeup_fd_, &wakes, sizeof wakes);
        watch_wakeups();
    });
}

void nbd_link::serve() noexcept {
    connect_due();
    while (!stopping_.load(std::memory_order_acquire)) {
        const std::size_t mails = mail_.drain();
        dispatch();
        signal_now();
        see_leavers_off();
        plan_tick();
        if (context_.poll() != 0 || mails != 0 || can_send())
            continue;
        if (!mail_.announce_sleep())
            continue;
        context_.run_one();
        mail_.announce_awake();
    }
}

// ---- commands -----------------------------------------------------------------------------------

void nbd_link::arrived(nbd_command& command) noexcept {
    ++commands_;
    ++command.from->commands_;
    command.asked_ns = now_ns();
    command.sent_before = false;
    command.bounce = nullptr;
    command.on = nullptr;
    const bool read = command.what == nbd_command::kind::read;
    if (ready_ == 0 && !read)
        end(command, -ENOTCONN);
    else if (given_up_)
        end(command, -ETIMEDOUT);
    else
        (read ? reads_ : writes_).push(command);
}

void nbd_link::dispatch() noexcept {
    while (nbd_connection* connection = freest()) {
        nbd_command* command = next_to_send();
        if (command == nullptr)
            break;
        send(*connection, *command);
    }
    for (auto& connection : connections_)
        connection->settle();
}

bool nbd_link::can_send() noexcept {
    return (!reads_.empty() || !writes_.empty()) && freest() != nullptr;
}

nbd_connection* nbd_link::freest() noexcept {
    nbd_connection* best = nullptr;
    for (auto& connection : connections_)
        if (connection->ready() && connection->in_flight() < config_.queue_depth &&
            (best == nullptr || connection->in_flight() < best->in_flight()))
            best = connection.get();
    return best;
}

/// Reads go first, since faults wait for them; writes free the memory that reads need.
nbd_command* nbd_link::next_to_send() noexcept {
    const bool read_next =
        !reads_.empty() && (writes_.empty() || reads_in_a_row_ < most_reads_in_a_row);
    if (read_next) {
        reads_in_a_row_ = writes_.empty() ? 0 : reads_in_a_row_ + 1;
        return &reads_.pop();
    }
    reads_in_a_row_ = 0;
    while (!writes_.empty()) {
        nbd_command& command = writes_.pop();
        if (command.sent_before || late_.empty() ||
            !late_.may_hit(command.offset, command.bytes, now_ns()))
            return &command;
        end(command, -EBUSY); // there are other places
    }
    return reads_.empty() ? nullptr : &reads_.pop();
}

/// One buffer for the command, of `sent_bytes`.
std::byte* nbd_link::fill_buffer(nbd_command& command) noexcept {
    command.sent_bytes = command.bytes;
    if (command.vectors.empty())
        return nullptr;
    const iovec& first = command.vectors.front();
    command.sent_bytes = std::min(command.bytes, most_bytes_);
    if (first.iov_len < command.sent_bytes) {
        command.bounce = buffers_.take();
        if (command.bounce == nullptr) // the rest will be asked for again
            command.sent_bytes = static_cast<std::uint32_t>(first.iov_len);
    }
    if (command.bounce == nullptr)
        return static_cast<std::byte*>(first.iov_base);
    if (command.what == nbd_command::kind::write) {
        std::size_t at = 0;
        for (const iovec& piece : command.vectors) {
            const std::size_t n = std::min(piece.iov_len, command.sent_bytes - at);
            std::memcpy(command.bounce + at, piece.iov_base, n);
            at += n;
        }
    }
    return command.bounce;
}

void nbd_link::send(nbd_connection& connection, nbd_command& command) noexcept {
    std::byte* const buffer = fill_buffer(command);
    command.sent_ns = now_ns();
    const int failed = connection.send(command, buffer);
    if (failed == 0)
        return;
    empty_buffer(command, false);
    if (connection.over()) { // settle() will find out
        (command.what == nbd_command::kind::read ? reads_ : writes_).push_front(command);
        broken(connection);
    } else {
        end(command, -failed);
    }
}

void nbd_link::empty_buffer(nbd_command& command, bool arrived) noexcept {
    if (command.bounce == nullptr)
        return;
    if (arrived && command.what == nbd_command::kind::read) {
        std::size_t at = 0;
        for (const iovec& piece : command.vectors) {
            const std::size_t n = std::min(piece.iov_len, command.sent_bytes - at);
            std::memcpy(piece.iov_base, command.bounce + at, n);
            at += n;
        }
    }
    buffers_.give_back(std::exchange(command.bounce, nullptr));
}

void nbd_link::answered(nbd_command& command, int os_errno) noexcept {
    empty_buffer(command, os_errno == 0);
    if (command.what == nbd_command::kind::trim && (os_errno == ENOTSUP || os_errno == EINVAL))
        trims_.store(false, std::memory_order_relaxed);
    end(command, os_errno == 0 ? std::int64_t{command.sent_bytes} : -os_errno);
}

void nbd_link::end(nbd_command& command, std::int64_t result) noexcept {
    nbd_requester& from = *command.from;
    command.result = result;
    --commands_;
    --from.commands_;
    signal(from);
    from.ended(command);
}

void nbd_link::signal(nbd_requester& requester) noexcept {
    if (!std::exchange(requester.to_signal_, true))
        to_signal_.push_back(&requester);
}

/// Once a round, however many commands have ended.
void nbd_link::signal_now() noexcept {
    for (nbd_requester* requester : to_signal_) {
        requester->to_signal_ = false;
        requester->signal();
    }
    to_signal_.clear();
}

void nbd_link::signal_all() noexcept {
    const mutex_lock lock(mutex_);
    for (nbd_requester* requester : requesters_)
        signal(*requester);
}

// ---- connections come and go --------------------------------------------------------------------

void nbd_link::broken(nbd_connection& connection) noexcept {
    if (!connection.ready())
        return;
    const std::vector<nbd_command*> lost = connection.close();
    connection.retry_at_ns = 0;
    connection.backoff_ns = 0;
    if (--ready_ == 0)
        went_away();
    // Back to front, so that the oldest is first again.
    for (auto command = lost.rbegin(); command != lost.rend(); ++command)
        unanswered(**command);
    connect_due();
}

void nbd_link::unanswered(nbd_command& command) noexcept {
    empty_buffer(command, false);
    if (command.what == nbd_command::kind::read) {
        reads_.push_front(command);
        return;
    }
    if (command.bytes != 0) // not a flush
        late_.add(command.offset, command.bytes, now_ns() + late_write_ns);
    command.sent_before = true;
    if (command.what == nbd_command::kind::trim)
        end(command, -ENOTCONN);
    else
        writes_.push_front(command);
}

void nbd_link::went_away() noexcept {
    away_since_ns_ = now_ns();
    reachable_.store(false, std::memory_order_relaxed);
    const auto refuse = [this](nbd_command& command) { end(command, -ENOTCONN); };
    writes_.take_if([](const nbd_command& c) { return !c.sent_before; }, refuse);
    signal_all();
}

void nbd_link::came_back() noexcept {
    given_up_ = false;
    reachable_.store(true, std::memory_order_relaxed);
    signal_all();
}

void nbd_link::connect_due() noexcept {
    const std::uint64_t now = now_ns();
    for (auto& connection : connections_)
        if (!connection->ready() && !connection->connecting && connection->retry_at_ns <= now)
            connect(*connection);
}

/// On the connector thread, which may wait, and back.
void nbd_link::connect(nbd_connection& connection) {
    connection.connecting = true;
    asio::post(*connector_, [this, &connection] {
        auto session = std::make_shared<nbd_session>();
        try {
            *session = connect_nbd(config_, connect_timeout, stopping_);
            if (!still_fits(export_of(*session)))
                session->reset();
        } catch (const nbd_failure&) {
            session->reset(); // tried again, and reported as a tier that is away
        }
        asio::post(context_, [this, &connection, session] {
            connection.connecting = false;
            connected(connection, std::move(*session));
        });
    });
}

/// Connector thread. A server that was restarted with something else is not ours.
bool nbd_link::still_fits(const nbd_export& e) const noexcept {
    return e.bytes >= bytes_ && !e.read_only && page_size % e.least_block == 0 &&
           e.most_bytes >= most_bytes_ && (!config_.durable || e.forces_unit_access) &&
           (e.many_connections || connections_.size() == 1);
}

void nbd_link::connected(nbd_connection& connection, nbd_session session) noexcept {
    if (session == nullptr || !connection.open(std::move(session))) {
        const std::uint64_t most = ready_ == 0 ? last_backoff_ns : last_spare_backoff_ns;
        connection.backoff_ns = std::clamp(connection.backoff_ns * 2, first_backoff_ns, most);
        connection.retry_at_ns = now_ns() + connection.backoff_ns;
        return;
    }
    connection.backoff_ns = 0;
    if (++ready_ != 1)
        return;
    came_back();
    for (auto& other : connections_) // they need not wait any longer either
        other->retry_at_ns = 0;
    connect_due();
}

// ---- time ---------------------------------------------------------------------------------------

/// While there is anything to wait for.
void nbd_link::plan_tick() {
    const bool all_there = ready_ == connections_.size();
    if (ticking_ || (commands_ == 0 && all_there && leavers_.empty()))
        return;
    ticking_ = true;
    timer_.expires_after(tick_time);
    timer_.async_wait([this](const auto& error) {
        ticking_ = false;
        if (!error)
            tick();
    });
}

void nbd_link::tick() noexcept {
    drop_silent_connections();
    give_up_overdue();
    connect_due();
}

void nbd_link::drop_silent_connections() noexcept {
    const std::uint64_t longest = in_ns(std::min(config_.request_timeout, config_.lost_after));
    const std::uint64_t now = now_ns();
    for (auto& connection : connections_)
        if (connection->has_under_way(
                [&](const nbd_command& c) { return now - c.sent_ns > longest; }))
            broken(*connection);
}

void nbd_link::give_up_overdue() noexcept {
    const std::uint64_t now = now_ns();
    const std::uint64_t lost_after_ns = in_ns(config_.lost_after);
    const std::uint64_t away_ns = ready_ == 0 ? now - away_since_ns_ : 0;
    given_up_ = ready_ == 0 && away_ns >= lost_after_ns;
    reads_.take_if(
        [&](const nbd_command& c) { return given_up_ || now - c.asked_ns >= lost_after_ns; },
        [&](nbd_command& c) { end(c, -ETIMEDOUT); });
    const bool impatient = away_ns >= write_patience_ns || given_up_;
    const std::uint64_t longest_write = in_ns(config_.request_timeout) + write_patience_ns;
    writes_.take_if(
        [&](const nbd_command& c) {
            return impatient || (c.sent_before && now - c.asked_ns >= longest_write);
        },
        [&](nbd_command& c) { end(c, -ENOTCONN); });
}

// ---- requesters ---------------------------------------------------------------------------------

void nbd_link::join(nbd_requester& requester) {
    const mutex_lock lock(mutex_);
    requesters_.push_back(&requester);
    joined_.store(requesters_.size(), std::memory_order_relaxed);
}

byte_count nbd_link::memory_share() const noexcept {
    const std::size_t shares = joined_.load(std::memory_order_relaxed);
    return buffers_.memory_bytes() / std::max<std::size_t>(shares, 1);
}

void nbd_link::leave(nbd_requester& requester) noexcept {
    {
        const mutex_lock lock(mutex_);
        std::erase(requesters_, &requester);
        joined_.store(requesters_.size(), std::memory_order_relaxed);
    }
    auto* leaver = new departure(*this, requester); // serve() deletes it
    std::future<void> gone = leaver->gone.get_future();
    mail_.post(*leaver);
    gone.wait();
}

void nbd_link::leaving(departure& leaver) {
    cancel_waiting(leaver.requester);
    leaver.patience_until_ns = now_ns() + leave_patience_ns;
    leavers_.push_back(&leaver);
}

void nbd_link::cancel_waiting(const nbd_requester& requester) noexcept {
    for (nbd_command_list* list : {&reads_, &writes_})
        list->take_if([&](const nbd_command& c) { return c.from == &requester; },
                      [this](nbd_command& c) { end(c, -ECANCELED); });
}

/// After the last command of a requester has ended and its signal was given.
void nbd_link::see_leavers_off() noexcept {
    for (std::size_t i = 0; i < leavers_.size();) {
        departure& leaver = *leavers_[i];
        if (leaver.requester.commands_ == 0 && !leaver.requester.to_signal_) {
            leavers_.erase(leavers_.begin() + static_cast<std::ptrdiff_t>(i));
            leaver.gone.set_value();
            delete &leaver;
            continue;
        }
        ++i;
        if (now_ns() < leaver.patience_until_ns)
            continue;
        // What it has under way must not touch its buffers any more; the others' is sent again.
        for (auto& connection : connections_)
            if (connection->has_under_way(
                    [&](const nbd_command& c) { return c.from == &leaver.requester; }))
                broken(*connection);
        cancel_waiting(leaver.requester);
    }
}

} // namespace uffdmm
