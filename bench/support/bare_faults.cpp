// SPDX-License-Identifier: BSD-3-Clause
#include "support/bare_faults.hpp"

#include <cstring>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel/userfaultfd_abi.hpp"

namespace uffdmm::bench {

bare_faults::bare_faults(operation what, bool writes, placement where)
    : what_(what), where_(where), guest_(pages), frames_(pages), source_(1),
      guest_uffd_(guest_, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP),
      frames_uffd_(frames_, UFFDIO_REGISTER_MODE_WP), stop_fd_(::eventfd(0, EFD_CLOEXEC)),
      order_(where == placement::spinning ? order::rest : order::run) {
    memory_ = guest_.page(0);
    writes_ = writes;
    std::memset(source_.page(0), 0x5a, page_size);
    if (what == operation::move || what == operation::unprotect)
        populate();
    const pinned there(cpus_for(where)->answering);
    thread_ = std::thread([this] { loop(); });
}

bare_faults::~bare_faults() {
    order_.store(order::end, std::memory_order_release); // pairs with the acquires in loop()
    order_.notify_all();
    const std::uint64_t one = 1;
    (void)!::write(stop_fd_, &one, sizeof one);
    thread_.join();
    ::close(stop_fd_);
}

void bare_faults::populate() {
    for (unsigned i = 0; i < batch; ++i)
        guest_uffd_.copy(guest_.page(i * stride), source_.page(0), 1);
}

void bare_faults::prepare() {
    switch (what_) {
    case operation::zeropage:
    case operation::copy:
        guest_.discard();
        break;
    case operation::move:
        frames_uffd_.move(frames_.page(0), guest_.page(0), pages);
        break;
    case operation::unprotect:
        guest_uffd_.protect(guest_.page(0), pages, true);
        break;
    }
    if (where_ != placement::spinning)
        return;
    order_.store(order::run, std::memory_order_release);
    order_.notify_all();
}

void bare_faults::pause() {
    if (where_ == placement::spinning)
        order_.store(order::rest, std::memory_order_release);
}

void bare_faults::loop() {
    for (;;) {
        order_.wait(order::rest, std::memory_order_acquire);
        if (order_.load(std::memory_order_acquire) == order::end)
            return;
        if (where_ == placement::spinning)
            spin();
        else
            sleep();
    }
}

void bare_faults::spin() {
    while (order_.load(std::memory_order_acquire) == order::run)
        if (std::byte* const page = guest_uffd_.read())
            answer(page);
}

void bare_faults::sleep() {
    pollfd wanted[] = {{guest_uffd_.fd(), POLLIN, 0}, {stop_fd_, POLLIN, 0}};
    while (wanted[1].revents == 0) {
        if (::poll(wanted, 2, -1) > 0 && wanted[0].revents != 0)
            if (std::byte* const page = guest_uffd_.read())
                answer(page);
    }
}

void bare_faults::answer(std::byte* page) {
    switch (what_) {
    case operation::zeropage:
        guest_uffd_.zeropage(page, 1);
        return;
    case operation::copy:
        guest_uffd_.copy(page, source_.page(0), 1);
        return;
    case operation::move:
        guest_uffd_.move(page, frames_.page(0) + (page - guest_.page(0)), 1);
        return;
    case operation::unprotect:
        guest_uffd_.protect(page, 1, false);
        return;
    }
}

} // namespace uffdmm::bench
