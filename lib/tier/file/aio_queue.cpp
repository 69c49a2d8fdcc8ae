// SPDX-License-Identifier: BSD-3-Clause
#include "tier/file/aio_queue.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <libaio.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel/file_descriptor.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

/// RAII for io_setup().
class aio_context {
  public:
    explicit aio_context(unsigned depth) {
        const int failed = -::io_setup(static_cast<int>(depth), &context_);
        if (failed == 0)
            return;
        const std::string hint = failed == EAGAIN
                                     ? " (fs.aio-max-nr is used up: raise it with sysctl, or lower "
                                       "tiers[].queue_depth or the number of shards)"
                                     : "";
        throw setup_error(failed == EAGAIN ? errc::no_memory : errc::not_supported,
                          "tiers[].queue_depth: io_setup for " + std::to_string(depth) +
                              " I/Os failed: " + ::strerrordesc_np(failed) + hint,
                          failed);
    }
    aio_context(const aio_context&) = delete;
    aio_context& operator=(const aio_context&) = delete;
    ~aio_context() {
        if (context_ != nullptr)
            ::io_destroy(context_);
    }
    [[nodiscard]] io_context_t get() const noexcept { return context_; }

  private:
    io_context_t context_ = nullptr;
};

class linux_aio_queue final : public aio_queue {
  public:
    linux_aio_queue(int fd, unsigned depth, const aio_calls& calls)
        : calls_(calls), fd_(fd), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), context_(depth),
          controls_(depth) {
        if (!event_)
            throw setup_error(errc::system,
                              std::string("eventfd failed: ") + ::strerrordesc_np(errno), errno);
        free_.reserve(depth);
        batch_.reserve(depth);
        for (iocb& control : controls_)
            free_.push_back(&control);
    }

    int submit(std::span<io_op* const> ops) noexcept override {
        batch_.clear();
        for (io_op* op : ops) {
            if (batch_.size() == free_.size())
                break;
            prepare(*free_[free_.size() - 1 - batch_.size()], *op);
            batch_.push_back(free_[free_.size() - 1 - batch_.size()]);
        }
        if (batch_.empty())
            return -EAGAIN;
        const int n =
            calls_.submit(context_.get(), static_cast<long>(batch_.size()), batch_.data());
        if (n > 0)
            free_.resize(free_.size() - static_cast<std::size_t>(n));
        return n;
    }

    std::size_t reap(std::span<io_op*> out) noexcept override {
        std::size_t n = collect(out);
        // An event's signal may come a little later than the event, and a read of the eventfd may
        // take the signals of events not seen yet: look again after every read.
        while (unread_signals_ > 0 && clear_signals())
            n += collect(out.subspan(n));
        return n;
    }

    void wait() noexcept override {
        pollfd readable{event_.get(), POLLIN, 0};
        (void)::poll(&readable, 1, -1);
    }
    int event_fd() const noexcept override { return event_.get(); }
    void arm() noexcept override {
        const std::uint64_t one = 1;
        if (::write(event_.get(), &one, sizeof one) == sizeof one)
            ++unread_signals_;
    }

  private:
    void prepare(iocb& control, io_op& op) noexcept {
        const auto count = static_cast<int>(op.vectors.size());
        const auto offset = static_cast<long long>(op.offset);
        if (op.write)
            ::io_prep_pwritev(&control, fd_, op.vectors.data(), count, offset);
        else
            ::io_prep_preadv(&control, fd_, op.vectors.data(), count, offset);
        ::io_set_eventfd(&control, event_.get());
        control.data = &op;
    }

    /// Without a system call when nothing has come back: libaio looks at the ring itself.
    std::size_t collect(std::span<io_op*> out) noexcept {
        std::array<io_event, 64> events;
        std::size_t n = 0;
        while (n < out.size()) {
            const auto most = static_cast<long>(std::min(events.size(), out.size() - n));
            timespec no_wait{};
            const int got = calls_.get_events(context_.get(), 0, most, events.data(), &no_wait);
            if (got == -EINTR)
                continue;
            for (int i = 0; i < got; ++i)
                out[n++] = finish(events[static_cast<std::size_t>(i)]);
            if (got < most)
                break;
        }
        unread_signals_ += static_cast<std::int64_t>(n);
        return n;
    }
    io_op* finish(const io_event& event) noexcept {
        auto* op = static_cast<io_op*>(event.data);
        op->result = static_cast<std::int64_t>(event.res); // libaio keeps the sign in an unsigned
        free_.push_back(event.obj);
        return op;
    }
    bool clear_signals() noexcept {
        std::uint64_t signals = 0;
        if (::read(event_.get(), &signals, sizeof signals) != sizeof signals)
            return false;
        unread_signals_ -= static_cast<std::int64_t>(signals);
        return true;
    }

    aio_calls calls_;
    int fd_;
    file_descriptor event_;
    aio_context context_;
    std::vector<iocb> controls_;
    std::vector<iocb*> free_;
    std::vector<iocb*> batch_; ///< scratch of submit()
    /// Events seen, and arm()s, whose signal has not been read.
    std::int64_t unread_signals_ = 0;
};

} // namespace

std::unique_ptr<aio_queue> make_linux_aio_queue(int fd, unsigned depth, const aio_calls& calls) {
    return std::make_unique<linux_aio_queue>(fd, depth, calls);
}

} // namespace uffdmm
