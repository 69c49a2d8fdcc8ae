// SPDX-License-Identifier: BSD-3-Clause

/// What is paid per fault or per message besides ioctls: the clock, histograms, mailboxes, waking.

#include <array>
#include <chrono>

#include <benchmark/benchmark.h>

#include "kernel/shard_waiter.hpp"
#include "support/clock.hpp"
#include "uffdmm/engine/budget.hpp"
#include "uffdmm/engine/histogram.hpp"
#include "uffdmm/executor.hpp"

namespace uffdmm::bench {
namespace {

void clock_read(benchmark::State& state) {
    for ([[maybe_unused]] auto each : state)
        benchmark::DoNotOptimize(now_ns());
}
BENCHMARK(clock_read);

void histogram_record(benchmark::State& state) {
    static histogram h;
    std::uint64_t ns = 1;
    for ([[maybe_unused]] auto each : state) {
        h.record(ns);
        ns = (ns * 7 + 3) & 0xfffff;
    }
}
BENCHMARK(histogram_record);

void histogram_snapshot_taken(benchmark::State& state) {
    static histogram h;
    for ([[maybe_unused]] auto each : state)
        benchmark::DoNotOptimize(h.snapshot());
}
BENCHMARK(histogram_snapshot_taken);

class no_listener final : public squeeze_listener {
  public:
    void squeezed() noexcept override {}
};

/// A page is charged for and given back.
void budget_charge(benchmark::State& state) {
    budget shared(byte_count{1} << 30);
    no_listener nobody;
    account mine(shared, 1, nobody);
    for ([[maybe_unused]] auto each : state) {
        benchmark::DoNotOptimize(mine.try_charge(page_size));
        mine.uncharge(page_size);
    }
}
BENCHMARK(budget_charge);

struct counted_message final : message {
    std::uint64_t* delivered = nullptr;
    void deliver() noexcept override { ++*delivered; }
};

struct deaf_waker final : waker {
    void wake() noexcept override {}
};

/// Posting `range(0)` messages to an owner that is awake, and delivering them.
void mailbox_post_and_drain(benchmark::State& state) {
    deaf_waker nobody;
    mailbox mail(nobody);
    std::uint64_t delivered = 0;
    std::vector<counted_message> messages(static_cast<std::size_t>(state.range(0)));
    for (counted_message& m : messages)
        m.delivered = &delivered;
    for ([[maybe_unused]] auto each : state) {
        for (counted_message& m : messages)
            mail.post(m);
        benchmark::DoNotOptimize(mail.drain());
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(delivered));
}
BENCHMARK(mailbox_post_and_drain)->Arg(1)->Arg(64);

/// What a step pays for looking at a mailbox in vain.
void mailbox_drain_empty(benchmark::State& state) {
    deaf_waker nobody;
    mailbox mail(nobody);
    for ([[maybe_unused]] auto each : state)
        benchmark::DoNotOptimize(mail.drain());
}
BENCHMARK(mailbox_drain_empty);

/// The system calls around a sleep that ends at once: the wake-up is there already.
void waiter_sleep_and_wake(benchmark::State& state) {
    shard_waiter waiter(std::chrono::nanoseconds(0));
    mailbox mail(waiter);
    for ([[maybe_unused]] auto each : state) {
        waiter.wake();
        waiter.wait(wait_hint::spin, mail);
    }
}
BENCHMARK(waiter_sleep_and_wake);

} // namespace
} // namespace uffdmm::bench
