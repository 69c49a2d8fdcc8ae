// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/shard_waiter.hpp"

#include <array>
#include <cerrno>
#include <ctime>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "kernel/setup_failure.hpp"

namespace uffdmm {
namespace {

constexpr long timed_sleep_ns = 1'000'000;

std::uint64_t clock_ns() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
           static_cast<std::uint64_t>(now.tv_nsec);
}

} // namespace

shard_waiter::shard_waiter(std::chrono::nanoseconds spin)
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wakeups_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)),
      spin_(static_cast<std::uint64_t>(spin.count())) {
    if (!epoll_ || !wakeups_ || !timer_)
        setup_failure("creating the event descriptors of a shard thread", errno);
    watch(wakeups_.get());
    watch(timer_.get());
}

void shard_waiter::watch(int fd) {
    if (fd < 0)
        return;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
        setup_failure("watching a descriptor in a shard thread", errno);
}

void shard_waiter::wake() noexcept {
    const std::uint64_t one = 1;
    // Fails only when the counter is full: then a wake-up is pending anyway.
    [[maybe_unused]] const ssize_t ignored = ::write(wakeups_.get(), &one, sizeof one);
}

void shard_waiter::wait(wait_hint hint, mailbox& mail) noexcept {
    switch (hint) {
    case wait_hint::poll:
        work_was_found();
        return;
    case wait_hint::served:
        work_was_found();
        [[fallthrough]];
    case wait_hint::spin:
        if (!keep_spinning())
            sleep(mail);
        return;
    case wait_hint::sleep:
        spinning_ = false;
        sleep(mail);
        return;
    case wait_hint::linger:
        if (!keep_spinning())
            timed_sleep(mail);
        return;
    case wait_hint::timed:
        spinning_ = false;
        timed_sleep(mail);
        return;
    }
}

void shard_waiter::work_was_found() noexcept {
    if (!spinning_)
        return;
    spinning_ = false;
    ++spins_that_paid_;
    spin_.found_work(clock_ns() - idle_since_ns_);
}

bool shard_waiter::keep_spinning() noexcept {
    if (!spinning_) {
        budget_ns_ = spin_.begin();
        spinning_ = budget_ns_ != 0;
        if (spinning_)
            idle_since_ns_ = clock_ns();
        return spinning_;
    }
    if (clock_ns() - idle_since_ns_ < budget_ns_)
        return true;
    spinning_ = false;
    spin_.gave_up();
    return false;
}

void shard_waiter::timed_sleep(mailbox& mail) noexcept {
    if (!timer_runs_) {
        itimerspec due{};
        due.it_value.tv_nsec = timed_sleep_ns;
        timer_runs_ = ::timerfd_settime(timer_.get(), 0, &due, nullptr) == 0;
    }
    sleep(mail);
}

void shard_waiter::sleep(mailbox& mail) noexcept {
    if (!mail.announce_sleep())
        return;
    std::array<epoll_event, 8> events;
    const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    mail.announce_awake();
    ++sleeps_;
    for (int i = 0; i < n; ++i)
        drain(events[static_cast<std::size_t>(i)].data.fd);
}

void shard_waiter::drain(int fd) noexcept {
    if (fd != wakeups_.get() && fd != timer_.get())
        return;
    timer_runs_ = timer_runs_ && fd != timer_.get();
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t ignored = ::read(fd, &count, sizeof count);
}

} // namespace uffdmm
