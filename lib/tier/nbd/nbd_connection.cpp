// SPDX-License-Identifier: BSD-3-Clause
#include "tier/nbd/nbd_connection.hpp"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <libnbd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace uffdmm {
namespace {

namespace asio = boost::asio;
using descriptor = asio::posix::stream_descriptor;

bool is_over(::nbd_handle* handle) {
    return ::nbd_aio_is_dead(handle) > 0 || ::nbd_aio_is_closed(handle) > 0;
}

/// The server has not answered, or only that it goes away: another connection may have an answer.
bool is_no_answer(int os_errno) {
    return os_errno == ENOTCONN || os_errno == ESHUTDOWN;
}

/// Whether there is something to read: bytes, the end, or an error. libnbd (1.14) that is told so
/// when it is not true waits for an answer from then on and sends nothing; and an event may be of
/// bytes that were read since.
bool has_input(int socket) {
    char byte = 0;
    return ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
           (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

} // namespace

nbd_connection::nbd_connection(asio::io_context& context, std::size_t depth, bool durable,
                               nbd_connection_listener& listener)
    : socket_(context), listener_(listener), durable_(durable) {
    under_way_.reserve(depth);
    answers_.reserve(depth);
}

nbd_connection::~nbd_connection() {
    detach();
}

bool nbd_connection::open(nbd_session session) noexcept {
    // libnbd closes its descriptor when the server does, inside calls of ours. The number may be
    // another thread's then, so the socket that Asio waits for is one of ours.
    const int socket = ::fcntl(::nbd_aio_get_fd(session.get()), F_DUPFD_CLOEXEC, 0);
    if (socket < 0)
        return false;
    boost::system::error_code error;
    socket_.assign(socket, error);
    if (error) {
        ::close(socket);
        errno = error.value();
        return false;
    }
    session_ = std::move(session);
    ++number_;
    waits_to_read_ = false;
    waits_to_write_ = false;
    wait_for_socket();
    return true;
}

bool nbd_connection::over() const noexcept {
    return is_over(session_.get());
}

int nbd_connection::send(nbd_command& command, std::byte* buffer) noexcept {
    ::nbd_handle* const h = session_.get();
    const nbd_completion_callback then{completed, &command, nullptr};
    touched_ = true;
    command.on = this;
    command.answer = 0;
    command.place = static_cast<std::uint32_t>(under_way_.size());
    under_way_.push_back(&command);
    std::int64_t cookie = -1;
    switch (command.what) {
    case nbd_command::kind::read:
        cookie = ::nbd_aio_pread(h, buffer, command.sent_bytes, command.offset, then, 0);
        break;
    case nbd_command::kind::write:
        cookie = ::nbd_aio_pwrite(h, buffer, command.sent_bytes, command.offset, then,
                                  durable_ ? LIBNBD_CMD_FLAG_FUA : 0);
        break;
    case nbd_command::kind::trim:
        cookie = ::nbd_aio_trim(h, command.sent_bytes, command.offset, then, 0);
        break;
    case nbd_command::kind::flush:
        cookie = ::nbd_aio_flush(h, then, 0);
        break;
    }
    if (cookie >= 0)
        return 0;
    const int why = ::nbd_get_errno();
    forget(command);
    return why != 0 ? why : EIO;
}

/// libnbd, inside a call of ours on the session. 1: the request is done with.
int nbd_connection::completed(void* user_data, int* os_errno) noexcept {
    auto& command = *static_cast<nbd_command*>(user_data);
    if (command.on != nullptr) { // not while close() drops it, nor after send() failed
        command.answer = *os_errno;
        command.on->answers_.push_back(&command);
    }
    return 1;
}

void nbd_connection::forget(nbd_command& command) noexcept {
    under_way_[command.place] = under_way_.back();
    under_way_[command.place]->place = command.place;
    under_way_.pop_back();
    command.on = nullptr;
}

void nbd_connection::settle() noexcept {
    if (!std::exchange(touched_, false) || !ready())
        return;
    bool over = is_over(session_.get());
    for (nbd_command* command : answers_) {
        if (is_no_answer(command->answer)) {
            over = true; // it stays under way until close()
            continue;
        }
        forget(*command);
        listener_.answered(*command, command->answer);
    }
    answers_.clear();
    if (over)
        listener_.broken(*this);
    else
        wait_for_socket();
}

void nbd_connection::wait_for_socket() noexcept {
    const unsigned wanted = ::nbd_aio_get_direction(session_.get());
    if ((wanted & LIBNBD_AIO_DIRECTION_READ) != 0 && !std::exchange(waits_to_read_, true))
        socket_.async_wait(descriptor::wait_read, [this, n = number_](const auto& error) {
            if (error || n != number_ || !ready())
                return;
            waits_to_read_ = false;
            touched_ = true;
            if ((::nbd_aio_get_direction(session_.get()) & LIBNBD_AIO_DIRECTION_READ) != 0 &&
                has_input(socket_.native_handle()))
                (void)::nbd_aio_notify_read(session_.get());
            settle();
        });
    if ((wanted & LIBNBD_AIO_DIRECTION_WRITE) != 0 && !std::exchange(waits_to_write_, true))
        socket_.async_wait(descriptor::wait_write, [this, n = number_](const auto& error) {
            if (error || n != number_ || !ready())
                return;
            waits_to_write_ = false;
            touched_ = true;
            if ((::nbd_aio_get_direction(session_.get()) & LIBNBD_AIO_DIRECTION_WRITE) != 0)
                (void)::nbd_aio_notify_write(session_.get());
            settle();
        });
}

void nbd_connection::detach() noexcept {
    boost::system::error_code ignored;
    socket_.close(ignored);
    ++number_;
}

std::vector<nbd_command*> nbd_connection::close() noexcept {
    detach();
    for (nbd_command* command : under_way_)
        command->on = nullptr;
    session_.reset();
    answers_.clear();
    std::vector<nbd_command*> unanswered;
    unanswered.reserve(under_way_.capacity());
    std::swap(unanswered, under_way_);
    return unanswered;
}

nbd_session nbd_connection::release() noexcept {
    detach();
    return std::move(session_);
}

} // namespace uffdmm
