// SPDX-License-Identifier: BSD-3-Clause

/// thread_placement::gather on the real kernel.

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "placement/cpu_affinity.hpp"
#include "support/managed_world.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

int cpus_of(pid_t thread) {
    cpu_set_t cpus;
    return ::sched_getaffinity(thread, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : -1;
}

manager_config gathering_config() {
    (void)probe();
    manager_config config;
    config.limit = 24 * mib;
    config.placement = thread_placement::gather;
    return config;
}

/// Reads a region from one end to the other, again and again, while it may.
class reader {
  public:
    explicit reader(const region& r)
        : thread_([this, &r](const std::stop_token& stop) {
              number = ::gettid();
              while (!stop.stop_requested()) {
                  paused = pause.load();
                  if (paused)
                      std::this_thread::sleep_for(std::chrono::milliseconds(1));
                  else
                      wrong += wrong_pages(r, 1);
              }
          }) {
        while (number == 0)
            ::sched_yield();
    }

    /// Returns when it does not touch the region any more.
    void stop_touching() {
        pause = true;
        while (!paused)
            ::sched_yield();
    }

    std::atomic<pid_t> number{0};
    std::atomic<bool> pause{false};
    std::atomic<bool> paused{false}; ///< touches nothing
    std::atomic<std::uint64_t> wrong{0};

  private:
    std::jthread thread_;
};

/// Waits until the thread may run on one CPU, or on several.
bool becomes(const reader& thread, bool one) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while ((cpus_of(thread.number) == 1) != one) {
        if (std::chrono::steady_clock::now() > patience)
            return false;
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return true;
}

/// Whether it has so many CPUs for longer than a trial lasts.
bool stays_at(const reader& thread, int cpus) {
    for (int i = 0; i < 1000; ++i) {
        if (cpus_of(thread.number) != cpus)
            return false;
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return true;
}

} // namespace

TEST_CASE("placement: a thread that faults is gathered, and has its CPUs back afterwards") {
    UFFDMM_NEEDS(cpus_of(0) > 1, "two CPUs");
    const int before = cpus_of(0);
    manager m(gathering_config());
    region_config rc;
    rc.size = 64 * mib;
    rc.prefetch = "off"; // a fault for every page
    region& r = m.add_region(rc);
    stamp_all(r, 1);
    reader thread(r);
    REQUIRE(becomes(thread, true)); // a trial at the least
    SECTION("when its faults end") {
        thread.stop_touching();
        REQUIRE(becomes(thread, false));
        CHECK(stays_at(thread, before));
        thread.pause = false;
        REQUIRE(becomes(thread, true));
    }
    SECTION("when the limit holds the whole region") {
        REQUIRE(m.set_limit(256 * mib));
        std::uint64_t faults = 0;
        while (faults != m.statistics().faults) {
            faults = m.statistics().faults;
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        REQUIRE(becomes(thread, false));
        CHECK(stays_at(thread, before));
    }
    SECTION("when the region ends") {
        thread.stop_touching();
        REQUIRE(m.remove_region(r, removal::drop));
        CHECK(cpus_of(thread.number) == before);
    }
    CHECK(thread.wrong == 0);
}

TEST_CASE("placement: by default nobody's CPUs are touched") {
    UFFDMM_NEEDS(cpus_of(0) > 1, "two CPUs");
    const int before = cpus_of(0);
    manager_config config = gathering_config();
    config.placement = manager_config{}.placement;
    manager m(config);
    region_config rc;
    rc.size = 64 * mib;
    rc.prefetch = "off";
    region& r = m.add_region(rc);
    stamp_all(r, 1);
    reader thread(r);
    bool touched = false;
    const std::uint64_t faults = m.statistics().faults;
    while (m.statistics().faults < faults + 20'000) {
        touched |= cpus_of(thread.number) != before;
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    CHECK_FALSE(touched);
    CHECK(thread.wrong == 0);
}

TEST_CASE("placement: inherited_affinity: the process's first thread is never bound") {
    cpu_affinity& kernel = linux_affinity();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(kernel.this_cpu(), &one);

    std::uint32_t other = 0;
    int seen = 0;
    int then = 0;
    std::thread([&] {
        other = kernel.this_thread();
        const std::optional<cpu_set_t> mine = kernel.get(other);
        seen = mine ? CPU_COUNT(&*mine) : 0;
        then = kernel.set(other, one) ? cpus_of(0) : 0;
    }).join();
    CHECK(seen == cpus_of(0));
    CHECK(then == 1);
    // It has ended, of which the kernel tells a little later than pthread_join().
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (kernel.get(other) && std::chrono::steady_clock::now() < patience)
        ::sched_yield();
    CHECK_FALSE(kernel.get(other));
    CHECK_FALSE(kernel.set(other, one));
    CHECK_FALSE(kernel.get(kernel.this_thread())); // the first of the process

    const pid_t child = ::fork();
    if (child == 0) {
        ::pause();
        ::_exit(0);
    }
    CHECK_FALSE(kernel.get(static_cast<std::uint32_t>(child)));
    ::kill(child, SIGKILL);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
}
