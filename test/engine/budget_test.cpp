// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/engine/budget.hpp"

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/seed.hpp"

namespace {

using namespace uffdmm;

struct counting_listener final : squeeze_listener {
    std::atomic<int> squeezes{0};
    void squeezed() noexcept override { ++squeezes; }
};

constexpr byte_count mib = 1 << 20;

TEST_CASE("budget: what is charged, spare and free adds up to the limit") {
    UFFDMM_INFO_SEED();
    std::mt19937_64 random(test::seed());
    counting_listener listener;
    budget shared(8 * mib);
    account a(shared, 1, listener);
    account b(shared, 1, listener);
    std::int64_t used[2] = {0, 0};
    for (int i = 0; i < 20'000; ++i) {
        const std::size_t who = random() % 2;
        account& own = who == 0 ? a : b;
        const byte_count bytes = (1 + random() % 100) * page_size;
        const auto amount = static_cast<std::int64_t>(bytes);
        if (random() % 2 == 0) {
            const bool room = own.available() >= amount;
            REQUIRE(own.try_charge(bytes) == room);
            used[who] += room ? amount : 0;
        } else if (used[who] >= amount) {
            own.uncharge(bytes);
            used[who] -= amount;
        }
        REQUIRE(a.used() == used[0]);
        REQUIRE(b.used() == used[1]);
        REQUIRE(a.granted() >= a.used());
        REQUIRE(b.granted() >= b.used());
        REQUIRE(a.granted() + b.granted() + shared.free() == shared.limit());
        REQUIRE(shared.free() >= 0);
        REQUIRE(shared.peak() <= shared.limit());
    }
    a.uncharge(static_cast<byte_count>(used[0]));
    b.uncharge(static_cast<byte_count>(used[1]));
}

TEST_CASE("budget: a charge leaves the reserve it was told to leave") {
    counting_listener listener;
    budget shared(100 * page_size);
    account a(shared, 1, listener);
    REQUIRE(a.try_charge(90 * page_size, 10 * page_size));
    REQUIRE_FALSE(a.try_charge(page_size, 10 * page_size));
    REQUIRE(a.try_charge(10 * page_size));
    REQUIRE_FALSE(a.try_charge(page_size));
    a.uncharge(100 * page_size);
}

TEST_CASE("budget: the last page is given out even where a whole chunk is not left") {
    counting_listener listener;
    budget shared(65 * page_size); // one chunk and one page
    account a(shared, 1, listener);
    account b(shared, 1, listener);
    REQUIRE(a.try_charge(page_size));
    REQUIRE(b.try_charge(page_size));
    REQUIRE_FALSE(b.try_charge(page_size)); // the rest is a's spare
    a.uncharge(page_size);
    b.uncharge(page_size);
}

TEST_CASE("budget: memory used already is charged past the limit, and the excess shows") {
    counting_listener listener;
    budget shared(10 * page_size);
    account a(shared, 1, listener);
    a.charge(15 * page_size);
    REQUIRE(shared.free() == -5 * static_cast<std::int64_t>(page_size));
    REQUIRE(a.available() < 0);
    REQUIRE_FALSE(a.try_charge(page_size));
    REQUIRE(shared.peak() == 15 * static_cast<std::int64_t>(page_size));
    a.uncharge(6 * page_size);
    REQUIRE(a.try_charge(page_size));
    a.uncharge(10 * page_size);
}

TEST_CASE("budget: a lowered limit takes effect at once, and spare grants go back") {
    counting_listener listener;
    budget shared(10 * mib);
    account a(shared, 1, listener);
    REQUIRE(a.try_charge(4 * mib));
    shared.set_limit(2 * mib);
    REQUIRE(listener.squeezes == 1);
    REQUIRE(a.available() < 0);
    REQUIRE_FALSE(a.try_charge(page_size));
    a.uncharge(3 * mib);
    REQUIRE(shared.free() >= 0);
    REQUIRE(a.try_charge(mib));
    REQUIRE_FALSE(a.try_charge(page_size));
    shared.set_limit(3 * mib);
    REQUIRE(a.try_charge(mib));
    a.uncharge(3 * mib);
}

TEST_CASE("budget: shares follow the weights and the members") {
    counting_listener listener;
    budget shared(12 * mib);
    account a(shared, 1, listener);
    REQUIRE(a.fair_share() == 12 * static_cast<std::int64_t>(mib));
    {
        account b(shared, 3, listener);
        REQUIRE(a.fair_share() == 3 * static_cast<std::int64_t>(mib));
        REQUIRE(b.fair_share() == 9 * static_cast<std::int64_t>(mib));
    }
    REQUIRE(a.fair_share() == 12 * static_cast<std::int64_t>(mib));
    REQUIRE(shared.free() == shared.limit());
}

TEST_CASE("budget: only those above their share are squeezed, and never the asker") {
    counting_listener greedy_listener;
    counting_listener modest_listener;
    counting_listener needy_listener;
    budget shared(9 * mib);
    account greedy(shared, 1, greedy_listener);
    account modest(shared, 1, modest_listener);
    account needy(shared, 1, needy_listener);
    REQUIRE(greedy.try_charge(6 * mib));
    REQUIRE(modest.try_charge(2 * mib));
    needy.squeeze_others();
    REQUIRE(greedy.over_share());
    REQUIRE(greedy_listener.squeezes == 1);
    REQUIRE(modest_listener.squeezes == 0);
    REQUIRE(needy_listener.squeezes == 0);
    greedy.squeeze_others();
    REQUIRE(greedy_listener.squeezes == 1);
    greedy.uncharge(6 * mib);
    modest.uncharge(2 * mib);
}

TEST_CASE(
    "budget: whoever is asked gives its spare grant back, and owes what it is above its share") {
    counting_listener listener;
    budget shared(16 * mib);
    account rich(shared, 1, listener);
    account poor(shared, 1, listener);
    // One page more than its share is used; the rest of the chunk it was granted is spare.
    rich.charge(8 * mib + page_size);
    REQUIRE(rich.try_charge(page_size));
    rich.uncharge(page_size);
    REQUIRE(poor.try_charge(7 * mib));
    REQUIRE(rich.headroom() > 0);
    poor.squeeze_others();
    CHECK(rich.headroom() > 0); // there is enough for whoever asked
    CHECK(rich.granted() == rich.used());
    REQUIRE(poor.try_charge(static_cast<byte_count>(poor.available())));
    poor.squeeze_others();
    CHECK(rich.headroom() == -std::int64_t{page_size});
    rich.uncharge(page_size);
    CHECK(rich.headroom() >= 0);
    poor.uncharge(static_cast<byte_count>(poor.used()));
    rich.uncharge(static_cast<byte_count>(rich.used()));
}

TEST_CASE("budget: threads together never exceed the limit, and all of it comes back") {
    UFFDMM_INFO_SEED();
    constexpr std::size_t shards = 4;
    counting_listener listener;
    budget shared(4 * mib);
    std::atomic<std::int64_t> total{0}; // never above what is really charged
    std::atomic<bool> broken{false};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < shards; ++t)
        threads.emplace_back([&, t] {
            std::mt19937_64 random(test::seed() + t);
            account own(shared, 1, listener);
            std::int64_t used = 0;
            for (int i = 0; i < 20'000; ++i) {
                const auto amount = static_cast<std::int64_t>((1 + random() % 64) * page_size);
                if (random() % 2 == 0 && own.try_charge(static_cast<byte_count>(amount))) {
                    used += amount;
                    if (total.fetch_add(amount) + amount > shared.limit())
                        broken = true;
                } else if (used >= amount) {
                    total.fetch_sub(amount);
                    used -= amount;
                    own.uncharge(static_cast<byte_count>(amount));
                }
            }
            total.fetch_sub(used);
            own.uncharge(static_cast<byte_count>(used));
        });
    for (std::thread& thread : threads)
        thread.join();
    REQUIRE_FALSE(broken);
    REQUIRE(shared.free() == shared.limit());
    REQUIRE(shared.peak() <= shared.limit());
    REQUIRE(shared.peak() > 0);
}

} // namespace
