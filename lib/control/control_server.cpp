// SPDX-License-Identifier: BSD-3-Clause
#include <chrono>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "control/listening_socket.hpp"
#include "detail/signals_blocked.hpp"
#include "uffdmm/control.hpp"

namespace uffdmm {
namespace {

namespace asio = boost::asio;
using stream = asio::local::stream_protocol;
using boost::system::error_code;

/// One client: a request, its answer, the next request. Lives as long as an operation of its is
/// pending.
class connection : public std::enable_shared_from_this<connection> {
  public:
    connection(stream::socket socket, control_target& target)
        : socket_(std::move(socket)), target_(target) {}

    void read() {
        auto self = shared_from_this();
        asio::async_read_until(
            socket_, asio::dynamic_buffer(received_, control_server::longest_request + 1), '\n',
            [self](error_code failed, std::size_t bytes) { self->received(failed, bytes); });
    }

  private:
    void received(error_code failed, std::size_t bytes) {
        if (failed == asio::error::not_found) { // the buffer is full
            to_send_ = "{\"error\":\"request: longer than allowed; allowed: " +
                       std::to_string(control_server::longest_request) + " bytes\"}\n";
            return write(false);
        }
        if (failed)
            return;
        to_send_ = answer_control(target_, std::string_view(received_).substr(0, bytes - 1)) + "\n";
        received_.erase(0, bytes);
        write(true);
    }

    void write(bool go_on) {
        auto self = shared_from_this();
        asio::async_write(socket_, asio::buffer(to_send_),
                          [self, go_on](error_code failed, std::size_t) {
                              if (!failed && go_on)
                                  self->read();
                          });
    }

    stream::socket socket_;
    control_target& target_;
    std::string received_;
    std::string to_send_;
};

} // namespace

class control_server::impl {
  public:
    impl(control_target& target, std::string path, std::string_view heir_of)
        : target_(target), path_(std::move(path)),
          socket_(listen_at(path_, identity_from(heir_of))), acceptor_(context_) {
        acceptor_.assign(stream(), ::fcntl(socket_.fd.get(), F_DUPFD_CLOEXEC, 0));
        accept();
        try {
            const signals_blocked guard;
            thread_ = std::thread([this] { serve(); });
        } catch (const std::system_error& e) {
            remove_socket();
            throw setup_error(errc::system, "control socket " + path_ + ": no thread: " + e.what(),
                              e.code().value());
        }
    }
    ~impl() {
        remove_socket();
        context_.stop();
        thread_.join();
    }
    impl(const impl&) = delete;
    impl& operator=(const impl&) = delete;

    void remove_socket() noexcept { remove_path(path_, socket_.made); }
    void forget_in_child() noexcept {
        (void)::close(acceptor_.native_handle());
        (void)::close(socket_.fd.get());
    }
    [[nodiscard]] std::string identity() const { return to_text(socket_.made); }

  private:
    void serve() {
        ::pthread_setname_np(::pthread_self(), "uffdmm-control");
        context_.run();
    }

    void accept() {
        acceptor_.async_accept([this](error_code failed, stream::socket socket) {
            if (failed == asio::error::operation_aborted)
                return;
            if (failed) // the process has no descriptor left
                return accept_later();
            std::make_shared<connection>(std::move(socket), target_)->read();
            accept();
        });
    }

    void accept_later() {
        pause_.expires_after(std::chrono::milliseconds(100));
        pause_.async_wait([this](error_code failed) {
            if (!failed)
                accept();
        });
    }

    control_target& target_;
    std::string path_;
    listening_socket socket_;
    asio::io_context context_{1};
    stream::acceptor acceptor_;
    asio::steady_timer pause_{context_};
    std::thread thread_;
};

control_server::control_server(control_target& target, const std::string& path,
                               std::string_view heir_of)
    : impl_(std::make_unique<impl>(target, path, heir_of)) {
}
control_server::~control_server() = default;

void control_server::remove_socket() noexcept {
    impl_->remove_socket();
}

void control_server::forget_in_child() noexcept {
    impl_->forget_in_child();
}

std::string control_server::identity() const {
    return impl_->identity();
}

} // namespace uffdmm
