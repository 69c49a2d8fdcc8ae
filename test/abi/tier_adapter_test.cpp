// SPDX-License-Identifier: BSD-3-Clause
#include "tier_adapter.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <map>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "support/catch.hpp"
#include "uffdmm/executor.hpp"

using namespace uffdmm;
using namespace uffdmm::shim;

namespace {

/// A tier in C style: pages in a map, finished at once or in poll.
struct c_store {
    int open_status = 0;
    bool later = false;
    int opened = 0;
    int closed = 0;
    int freed = 0;
    uffdmm_tier_context context{};
    std::map<uint64_t, std::vector<char>> pages;
    std::vector<uint64_t> owners;
    std::vector<uffdmm_store_request*> stores;
    std::vector<uffdmm_load_request*> loads;
    void* first_data = nullptr;
    std::function<void(uffdmm_tier_client*, uffdmm_store_request*)> misbehave;
};

void finish(c_store& tier, uffdmm_store_request* r, uffdmm_tier_client* client) {
    const auto* contents = static_cast<const char*>(uffdmm_store_contents(r));
    const uint64_t slot = 100 + uffdmm_store_owner(r);
    tier.pages[slot].assign(contents, contents + UFFDMM_PAGE_SIZE);
    uffdmm_store_done(client, r, UFFDMM_TIER_OK, slot);
}

void finish(c_store& tier, uffdmm_load_request* r, uffdmm_tier_client* client) {
    const auto found = tier.pages.find(uffdmm_load_slot(r));
    if (found != tier.pages.end())
        std::memcpy(uffdmm_load_destination(r), found->second.data(), UFFDMM_PAGE_SIZE);
    uffdmm_load_done(client, r, found != tier.pages.end() ? UFFDMM_TIER_OK : UFFDMM_TIER_CORRUPT);
}

int open_store(void* user_data, const uffdmm_tier_context* context, void** tier) {
    auto& self = *static_cast<c_store*>(user_data);
    if (self.open_status != 0)
        return self.open_status;
    ++self.opened;
    self.context = *context;
    *tier = user_data;
    return 0;
}

void store_pages(void* tier, uffdmm_store_request* const* requests, size_t count,
                 uffdmm_tier_client* client) {
    auto& self = *static_cast<c_store*>(tier);
    for (size_t i = 0; i < count; ++i) {
        self.first_data = uffdmm_store_data(requests[i]);
        self.owners.push_back(uffdmm_store_owner(requests[i]));
        if (self.misbehave)
            self.misbehave(client, requests[i]);
        else if (self.later)
            self.stores.push_back(requests[i]);
        else
            finish(self, requests[i], client);
    }
}

void load_pages(void* tier, uffdmm_load_request* const* requests, size_t count,
                uffdmm_tier_client* client) {
    auto& self = *static_cast<c_store*>(tier);
    for (size_t i = 0; i < count; ++i) {
        if (self.later)
            self.loads.push_back(requests[i]);
        else
            finish(self, requests[i], client);
    }
}

void poll_store(void* tier, uffdmm_tier_client* client) {
    auto& self = *static_cast<c_store*>(tier);
    for (auto* r : std::exchange(self.stores, {}))
        finish(self, r, client);
    for (auto* r : std::exchange(self.loads, {}))
        finish(self, r, client);
}

uffdmm_tier_ops store_ops() {
    uffdmm_tier_ops ops{};
    ops.struct_size = sizeof ops;
    ops.latency = UFFDMM_LATENCY_REMOTE;
    ops.flags = UFFDMM_TIER_SHARED | UFFDMM_TIER_COLD_ORDER;
    ops.open = open_store;
    ops.close = [](void* tier) { ++static_cast<c_store*>(tier)->closed; };
    ops.store = store_pages;
    ops.load = load_pages;
    ops.release = [](void* tier, uint64_t slot) { static_cast<c_store*>(tier)->pages.erase(slot); };
    ops.poll = poll_store;
    ops.event_fd = [](void*) { return 42; };
    ops.usage = [](void* tier, uffdmm_tier_usage* usage) {
        usage->pages = static_cast<c_store*>(tier)->pages.size();
        usage->stored_bytes = 2;
        usage->occupied_bytes = 3;
        usage->memory_bytes = 4;
        usage->capacity_bytes = 5;
    };
    ops.coldest = [](void* tier, uffdmm_cold_slot* out, size_t count) {
        size_t n = 0;
        for (const auto& [slot, contents] : static_cast<c_store*>(tier)->pages)
            if (n < count)
                out[n++] = {slot, slot - 100};
        return n;
    };
    return ops;
}

struct no_workers final : executor {
    void submit(std::span<job* const>) noexcept override {}
};
struct no_waker final : waker {
    void wake() noexcept override {}
};

struct client final : tier_client {
    void store_done(store_request& request) noexcept override { stored.push_back(&request); }
    void load_done(load_request& request) noexcept override { loaded.push_back(&request); }
    std::vector<store_request*> stored;
    std::vector<load_request*> loaded;
};

/// One C tier, and a page to store and load.
struct world {
    std::unique_ptr<swap_tier> make(const uffdmm_tier_ops& ops) {
        check_tier_ops(ops, "ops");
        const auto count_free = [](void* data) { ++static_cast<c_store*>(data)->freed; };
        return c_tier_factory(ops, "remote", own(&c, count_free))({workers, home, 1000, 3});
    }
    void store(swap_tier& tier) {
        store_request* const requests[] = {&out};
        tier.store(requests, told);
    }
    void load(swap_tier& tier) {
        load_request* const requests[] = {&in};
        tier.load(requests, told);
    }

    c_store c;
    no_workers workers;
    no_waker sleeper;
    mailbox home{sleeper};
    client told;
    std::array<std::byte, page_size> source{std::byte{1}, std::byte{2}};
    std::array<std::byte, page_size> target{};
    store_request out{.contents = source.data(), .owner = 7};
    load_request in{.slot = {107}, .destination = target.data()};
};

/// Runs `body` in a child; gives what it printed if it aborted, else "".
std::string last_words(const std::function<void()>& body) {
    int pipe_ends[2];
    REQUIRE(::pipe(pipe_ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::signal(SIGABRT, SIG_DFL); // Catch2 would report it as this test's
        ::dup2(pipe_ends[1], STDERR_FILENO);
        body();
        ::_exit(0);
    }
    ::close(pipe_ends[1]);
    std::string text(4096, '\0');
    const ssize_t n = ::read(pipe_ends[0], text.data(), text.size());
    ::close(pipe_ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? text : "";
}

} // namespace

TEST_CASE("abi: a C tier has the traits of its struct", "[abi]") {
    world w;
    const auto tier = w.make(store_ops());
    CHECK(tier->traits().name == "remote");
    CHECK(tier->traits().latency == tier_latency::remote);
    CHECK_FALSE(tier->traits().synchronous_load);
    CHECK_FALSE(tier->traits().counts_in_limit);
    CHECK(tier->traits().shared);
    CHECK(tier->traits().keeps_cold_order);
    CHECK(tier->event_fd() == 42);
    CHECK(w.c.context.struct_size == sizeof(uffdmm_tier_context));
    CHECK(w.c.context.shard_pages == 1000);
    CHECK(w.c.context.shard_number == 3);
}

TEST_CASE("abi: a C tier gives back what it stored", "[abi]") {
    world w;
    const auto tier = w.make(store_ops());
    w.store(*tier);
    REQUIRE(w.told.stored.size() == 1);
    CHECK(w.out.status == tier_status::ok);
    CHECK(w.out.slot.value == 107);
    w.load(*tier);
    REQUIRE(w.told.loaded.size() == 1);
    CHECK(w.in.status == tier_status::ok);
    CHECK(w.target == w.source);
    tier->release(slot_id{107});
    w.load(*tier);
    CHECK(w.in.status == tier_status::corrupt);
}

TEST_CASE("abi: a C tier may finish requests in poll", "[abi]") {
    world w;
    w.c.later = true;
    const auto tier = w.make(store_ops());
    w.store(*tier);
    CHECK(w.told.stored.empty());
    tier->poll(w.told);
    CHECK(w.told.stored.size() == 1);
    w.load(*tier);
    CHECK(w.told.loaded.empty());
    tier->poll(w.told);
    CHECK(w.told.loaded.size() == 1);
    CHECK(w.target == w.source);
}

TEST_CASE("abi: a C tier's usage and cold slots reach the engine", "[abi]") {
    world w;
    const auto tier = w.make(store_ops());
    w.store(*tier);
    const tier_usage usage = tier->usage();
    CHECK(usage.pages == 1);
    CHECK(usage.stored_bytes == 2);
    CHECK(usage.occupied_bytes == 3);
    CHECK(usage.memory_bytes == 4);
    CHECK(usage.capacity_bytes == 5);
    std::array<cold_slot, 1000> cold;
    REQUIRE(tier->coldest(cold) == 1);
    CHECK(cold[0].slot.value == 107);
    CHECK(cold[0].owner == 7);
    CHECK(tier->coldest(std::span(cold).first(0)) == 0);
}

TEST_CASE("abi: a C tier without optional functions works", "[abi]") {
    world w;
    uffdmm_tier_ops ops = store_ops();
    ops.flags = UFFDMM_TIER_SYNCHRONOUS_LOAD | UFFDMM_TIER_COUNTS_IN_LIMIT;
    ops.close = nullptr;
    ops.poll = nullptr;
    ops.event_fd = nullptr;
    ops.coldest = nullptr;
    const auto tier = w.make(ops);
    CHECK(tier->traits().synchronous_load);
    CHECK(tier->traits().counts_in_limit);
    CHECK(tier->event_fd() == -1);
    tier->poll(w.told);
    w.store(*tier);
    w.load(*tier);
    CHECK(w.target == w.source);
    std::array<cold_slot, 4> cold;
    CHECK(tier->coldest(cold) == 0);
}

TEST_CASE("abi: a C tier finds no data of an earlier tier in a request", "[abi]") {
    world w;
    const auto tier = w.make(store_ops());
    int left_behind = 0;
    w.out.tier_data = &left_behind;
    w.store(*tier);
    CHECK(w.c.first_data == nullptr);
}

TEST_CASE("abi: a C tier is closed once and its user_data freed once", "[abi]") {
    world w;
    {
        auto tier = w.make(store_ops());
        CHECK(w.c.opened == 1);
        CHECK(w.c.freed == 0);
        tier.reset();
        CHECK(w.c.closed == 1);
    }
    CHECK(w.c.closed == 1);
    CHECK(w.c.freed == 1);
}

TEST_CASE("abi: a C tier that does not open is not closed and says why", "[abi]") {
    world w;
    w.c.open_status = -ENOSPC;
    try {
        static_cast<void>(w.make(store_ops()));
        FAIL("it opened");
    } catch (const setup_error& e) {
        CHECK(e.code() == errc::system);
        CHECK(e.os_errno() == ENOSPC);
        CHECK_THAT(e.what(), Catch::Contains("remote") && Catch::Contains("No space left"));
    }
    w.c.open_status = 5;
    CHECK_THROWS_WITH(w.make(store_ops()), Catch::Contains("open gave 5"));
    CHECK(w.c.closed == 0);
    CHECK(w.c.freed == 2);
}

TEST_CASE("abi: a C tier that reports a request twice stops the process", "[abi]") {
    world w;
    w.c.misbehave = [](uffdmm_tier_client* client, uffdmm_store_request* r) {
        uffdmm_store_done(client, r, UFFDMM_TIER_REJECTED, 0);
        uffdmm_store_done(client, r, UFFDMM_TIER_REJECTED, 0);
    };
    const auto tier = w.make(store_ops());
    CHECK_THAT(last_words([&] { w.store(*tier); }), Catch::Contains("reports a request once"));
}

TEST_CASE("abi: a C tier that forgets a request stops the process", "[abi]") {
    world w;
    w.c.misbehave = [](uffdmm_tier_client*, uffdmm_store_request*) {};
    uffdmm_tier_ops ops = store_ops();
    ops.poll = nullptr;
    ops.event_fd = nullptr;
    const auto tier = w.make(ops);
    CHECK_THAT(last_words([&] { w.store(*tier); }), Catch::Contains("without poll"));
}

TEST_CASE("abi: a C tier that is late with a synchronous load stops the process", "[abi]") {
    world w;
    uffdmm_tier_ops ops = store_ops();
    ops.flags |= UFFDMM_TIER_SYNCHRONOUS_LOAD;
    const auto tier = w.make(ops);
    w.store(*tier);
    w.c.later = true;
    CHECK_THAT(last_words([&] { w.load(*tier); }), Catch::Contains("SYNCHRONOUS_LOAD"));
}

TEST_CASE("abi: a C tier that gives an impossible slot or status stops the process", "[abi]") {
    world w;
    int status = UFFDMM_TIER_OK;
    uint64_t slot = UFFDMM_MAX_SLOT + 1;
    w.c.misbehave = [&](uffdmm_tier_client* client, uffdmm_store_request* r) {
        uffdmm_store_done(client, r, status, slot);
    };
    const auto tier = w.make(store_ops());
    CHECK_THAT(last_words([&] { w.store(*tier); }), Catch::Contains("UFFDMM_MAX_SLOT"));
    status = 0;
    CHECK_THAT(last_words([&] { w.store(*tier); }), Catch::Contains("uffdmm_tier_status"));
    status = UFFDMM_TIER_CORRUPT;
    CHECK_THAT(last_words([&] { w.store(*tier); }), Catch::Contains("corrupt"));
    status = UFFDMM_TIER_OK;
    slot = UFFDMM_MAX_SLOT;
    w.store(*tier);
    CHECK(w.out.slot.value == UFFDMM_MAX_SLOT);
}
