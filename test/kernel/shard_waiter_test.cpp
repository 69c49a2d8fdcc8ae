// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/shard_waiter.hpp"

#include "support/kernel_fixture.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

struct note final : message {
    bool delivered = false;
    void deliver() noexcept override { delivered = true; }
};

TEST_CASE("adaptive_spin: spins while work comes soon, and not at all with budget 0") {
    adaptive_spin never(0);
    adaptive_spin spin(20'000);
    for (int i = 0; i < 100; ++i) {
        REQUIRE(never.begin() == 0);
        REQUIRE(spin.begin() == 20'000);
        spin.found_work(5'000);
    }
}

TEST_CASE("adaptive_spin: stops when idle periods are longer than the budget, but for a trial") {
    adaptive_spin spin(20'000);
    int spun = 0;
    for (int i = 0; i < 10; ++i)
        if (spin.begin() != 0)
            spin.gave_up();
    for (int i = 0; i < 160; ++i) {
        if (spin.begin() != 0) {
            ++spun;
            spin.gave_up();
        }
    }
    REQUIRE(spun == 10);
}

TEST_CASE("adaptive_spin: starts again when work comes soon again") {
    adaptive_spin spin(20'000);
    for (int i = 0; i < 10; ++i)
        if (spin.begin() != 0)
            spin.gave_up();
    REQUIRE(spin.begin() == 0);
    int periods = 0;
    int in_a_row = 0;
    while (in_a_row < 8 && periods < 1000) {
        ++periods;
        in_a_row = spin.begin() != 0 ? in_a_row + 1 : 0;
        if (in_a_row != 0)
            spin.found_work(2'000);
    }
    REQUIRE(periods < 1000);
}

TEST_CASE("shard_waiter: mail posted before the sleep is not slept over") {
    shard_waiter waiter(std::chrono::nanoseconds(0));
    mailbox mail(waiter);
    note n;
    mail.post(n);
    waiter.wait(wait_hint::spin, mail); // would sleep for ever
    REQUIRE(mail.drain() == 1);
    REQUIRE(waiter.sleeps() == 0);
}

TEST_CASE("shard_waiter: mail ends a sleep") {
    shard_waiter waiter(std::chrono::nanoseconds(0));
    mailbox mail(waiter);
    for (int round = 0; round < 200; ++round) {
        note n;
        std::thread sender([&] { mail.post(n); });
        while (mail.drain() == 0)
            waiter.wait(wait_hint::spin, mail);
        sender.join();
        REQUIRE(n.delivered);
    }
}

TEST_CASE("shard_waiter: a fault ends a sleep", "[kernel]") {
    world w(protocol::private_copy);
    shard_waiter waiter(std::chrono::nanoseconds(0));
    waiter.watch(w.os.events_fd());
    mailbox mail(waiter);
    vcpu cpu(w, [&] { (void)load(w.page(1)); });
    kernel_message m[4];
    while (w.os.read(m) == 0)
        waiter.wait(wait_hint::spin, mail);
    REQUIRE(m[0].pages.first == page_index{1});
    REQUIRE(w.os.zero_in({1}, 1).done == 1);
    cpu.join();
}

TEST_CASE("shard_waiter: a tier's event ends a sleep, and -1 is no descriptor") {
    shard_waiter waiter(std::chrono::nanoseconds(0));
    int fds[2];
    REQUIRE(::pipe(fds) == 0);
    const file_descriptor in(fds[0]);
    const file_descriptor out(fds[1]);
    waiter.watch(-1);
    waiter.watch(in.get());
    mailbox mail(waiter);
    REQUIRE(::write(out.get(), "x", 1) == 1);
    waiter.wait(wait_hint::spin, mail);
    REQUIRE(waiter.sleeps() == 1);
}

TEST_CASE("shard_waiter: a timed sleep ends by itself, poll does not sleep") {
    shard_waiter waiter(std::chrono::nanoseconds(0));
    mailbox mail(waiter);
    waiter.wait(wait_hint::poll, mail);
    REQUIRE(waiter.sleeps() == 0);
    waiter.wait(wait_hint::timed, mail);
    REQUIRE(waiter.sleeps() == 1);
}

TEST_CASE("shard_waiter: a lingering thread that does not spin sleeps for a while only") {
    shard_waiter waiter(std::chrono::nanoseconds(0));
    mailbox mail(waiter);
    waiter.wait(wait_hint::linger, mail);
    REQUIRE(waiter.sleeps() == 1);
}

TEST_CASE("shard_waiter: the time of a timed sleep goes on when it is woken early") {
    shard_waiter waiter(std::chrono::nanoseconds(0));
    mailbox mail(waiter);
    waiter.wake();
    waiter.wait(wait_hint::timed, mail); // ended by the wake-up
    waiter.wait(wait_hint::spin, mail);  // and this by what was left of the time
    waiter.wait(wait_hint::timed, mail); // which starts anew
    REQUIRE(waiter.sleeps() == 3);
}

TEST_CASE("shard_waiter: work found while spinning spares the sleep") {
    shard_waiter waiter(std::chrono::hours(1));
    mailbox mail(waiter);
    for (int i = 0; i < 10; ++i)
        waiter.wait(wait_hint::spin, mail); // returns at once: the shard looks for work itself
    waiter.wait(wait_hint::poll, mail);
    REQUIRE(waiter.sleeps() == 0);
    REQUIRE(waiter.spins_that_paid() == 1);
}

TEST_CASE("shard_waiter: an answered fault ends an idle time that was spun through") {
    shard_waiter waiter(std::chrono::hours(1));
    mailbox mail(waiter);
    waiter.wait(wait_hint::spin, mail);
    waiter.wait(wait_hint::served, mail);
    REQUIRE(waiter.spins_that_paid() == 1);
    REQUIRE(waiter.sleeps() == 0);
}

TEST_CASE("shard_waiter: after an answered fault a thread that does not spin sleeps") {
    shard_waiter waiter(std::chrono::nanoseconds(0));
    mailbox mail(waiter);
    waiter.wake();
    waiter.wait(wait_hint::served, mail);
    REQUIRE(waiter.sleeps() == 1);
}

} // namespace
