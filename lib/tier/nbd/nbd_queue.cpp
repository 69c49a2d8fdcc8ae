// SPDX-License-Identifier: BSD-3-Clause
#include "tier/nbd/nbd_queue.hpp"

#include <algorithm>
#include <cerrno>
#include <string>

#include <sys/eventfd.h>
#include <unistd.h>

#include "uffdmm/check.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {

nbd_queue::nbd_queue(std::shared_ptr<nbd_link> link, unsigned depth)
    : link_(std::move(link)), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), commands_(depth) {
    if (!event_)
        throw setup_error(errc::system, std::string("eventfd failed: ") + ::strerrordesc_np(errno),
                          errno);
    free_.reserve(depth);
    for (nbd_command& command : commands_) {
        command.from = this;
        command.link = link_.get();
        free_.push_back(&command);
    }
    link_->join(*this);
}

nbd_queue::~nbd_queue() {
    link_->leave(*this);
}

int nbd_queue::submit(std::span<io_op* const> ops) noexcept {
    const std::size_t n = std::min(ops.size(), free_.size());
    for (io_op* op : ops.first(n)) {
        nbd_command& command = *free_.back();
        free_.pop_back();
        command.what = op->write ? nbd_command::kind::write : nbd_command::kind::read;
        command.offset = op->offset;
        command.vectors = op->vectors;
        command.bytes = 0;
        for (const iovec& piece : op->vectors)
            command.bytes += static_cast<std::uint32_t>(piece.iov_len);
        command.tag = op;
        link_->submit(command);
    }
    return n == 0 ? -EAGAIN : static_cast<int>(n);
}

void nbd_queue::ended(nbd_command& command) noexcept {
    nbd_command* newest = done_.load(std::memory_order_relaxed);
    do {
        command.next = newest;
    } while (!done_.compare_exchange_weak(newest, &command, std::memory_order_release,
                                          std::memory_order_relaxed));
}

void nbd_queue::raise() noexcept {
    const std::uint64_t one = 1;
    const ssize_t written = ::write(event_.get(), &one, sizeof one);
    UFFDMM_CHECK(written == sizeof one, "an eventfd counts up to 2^64 - 2");
    raised_.fetch_add(1, std::memory_order_release);
}

bool nbd_queue::clear_signals() noexcept {
    // cleared_ may be ahead: a signal was read that raised_ does not count yet.
    const auto unread =
        static_cast<std::int64_t>(raised_.load(std::memory_order_acquire) - cleared_);
    std::uint64_t signals = 0;
    if (unread <= 0 || ::read(event_.get(), &signals, sizeof signals) != sizeof signals)
        return false;
    cleared_ += signals;
    return true;
}

std::size_t nbd_queue::reap(std::span<io_op*> out) noexcept {
    if (!clear_signals())
        return 0;
    nbd_command* oldest = nullptr;
    for (nbd_command* c = done_.exchange(nullptr, std::memory_order_acquire); c != nullptr;) {
        nbd_command* const older = c->next;
        c->next = oldest;
        oldest = c;
        c = older;
    }
    std::size_t n = 0;
    for (nbd_command* c = oldest; c != nullptr; c = c->next) {
        auto* op = static_cast<io_op*>(c->tag);
        op->result = c->result;
        out[n++] = op;
        free_.push_back(c);
    }
    return n;
}

void nbd_queue::wait() noexcept {
    link_->leave(*this);
}

byte_count nbd_queue::memory_bytes() const noexcept {
    return commands_.size() * (sizeof(nbd_command) + sizeof(nbd_command*)) + link_->memory_share();
}

} // namespace uffdmm
