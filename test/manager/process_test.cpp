// SPDX-License-Identifier: BSD-3-Clause

/// What the library does to the process around it: a shard that breaks stops it with a message, and
/// ending it, or forking, needs no fault to be answered.

#include <string>

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "support/managed_world.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

struct ending {
    int status = 0;
    std::string said; ///< on stderr
};

/// Runs `body` in a child process, to its end.
template <typename Body>
ending in_child(Body&& body) {
    int pipes[2];
    REQUIRE(::pipe(pipes) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        // Only the signal itself: no report of the test framework, no core file.
        for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGTERM})
            ::signal(signal, SIG_DFL);
        const rlimit none{0, 0};
        ::setrlimit(RLIMIT_CORE, &none);
        ::alarm(60);
        ::dup2(pipes[1], STDERR_FILENO);
        ::close(pipes[0]);
        body();
        ::_exit(0);
    }
    ::close(pipes[1]);
    ending end;
    char text[512];
    for (ssize_t n = 0; (n = ::read(pipes[0], text, sizeof text)) > 0;)
        end.said.append(text, static_cast<std::size_t>(n));
    ::close(pipes[0]);
    REQUIRE(::waitpid(child, &end.status, 0) == child);
    return end;
}

/// Reports every store twice, which no engine can go on after.
class lying_tier final : public swap_tier {
  public:
    lying_tier() : swap_tier({"lying", tier_latency::memory, true, false, false, false}) {}

  private:
    void do_store(std::span<store_request* const> requests, tier_client& client) noexcept override {
        for (store_request* r : requests) {
            r->status = tier_status::ok;
            r->slot = slot_id{1};
            client.store_done(*r);
            client.store_done(*r);
        }
    }
    void do_load(std::span<load_request* const>, tier_client&) noexcept override {}
    void do_release(slot_id) noexcept override {}
    [[nodiscard]] tier_usage do_usage() const noexcept override { return {}; }
};

manager_config small() {
    manager_config config;
    config.limit = 8 * mib;
    return config;
}
region_config region_of(byte_count size) {
    region_config config;
    config.size = size;
    return config;
}

} // namespace

TEST_CASE("process: handler_dies: a broken shard stops the process and says why") {
    (void)probe();
    const ending end = in_child([] {
        manager_config config = small();
        config.tiers = {custom_tier_config{
            "lying", [](const tier_context&) { return std::make_unique<lying_tier>(); }}};
        manager m(config);
        region& r = m.add_region(region_of(32 * mib));
        stamp_all(r, 1);
    });
    CHECK(WIFSIGNALED(end.status));
    CHECK(WTERMSIG(end.status) == SIGABRT);
    CHECK(end.said.find("libuffdmm: fatal:") != std::string::npos);
}

TEST_CASE("process: process_exit_and_core_dump: a process ends while its memory is swapped out") {
    (void)probe();
    SECTION("by exit, with the manager alive") {
        const ending end = in_child([] {
            auto* m = new manager(small());
            stamp_all(m->add_region(region_of(16 * mib)), 1);
        });
        CHECK(WIFEXITED(end.status));
        CHECK(WEXITSTATUS(end.status) == 0);
    }
    SECTION("killed while threads fault") {
        const ending end = in_child([] {
            auto* m = new manager(small());
            region& r = m->add_region(region_of(16 * mib));
            for (unsigned t = 0; t < 2; ++t)
                std::thread([&r] {
                    for (std::uint64_t round = 1;; ++round)
                        stamp_all(r, round);
                }).detach();
            while (m->statistics().evicted_pages < 1000)
                std::this_thread::yield();
            ::kill(::getpid(), SIGKILL);
        });
        CHECK(WIFSIGNALED(end.status));
        CHECK(WTERMSIG(end.status) == SIGKILL);
    }
}

TEST_CASE("process: fork_of_the_vmm: a child has no managed memory, and the parent goes on") {
    (void)probe();
    manager m(small());
    region& r = m.add_region(region_of(16 * mib));
    stamp_all(r, 1);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        unsigned char ignored = 0;
        ::_exit(::mincore(r.data(), page_size, &ignored) != 0 ? 0 : 1); // not mapped here
    }
    stamp_all(r, 2);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    CHECK(wrong_pages(r, 2) == 0);
}
