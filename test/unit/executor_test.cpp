// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/executor.hpp"

#include <algorithm>
#include <thread>
#include <vector>

#include "support/catch.hpp"

namespace {

using namespace uffdmm;

struct counting_waker final : waker {
    int wakes = 0;
    void wake() noexcept override { ++wakes; }
};

struct note final : message {
    std::vector<int>* log = nullptr;
    int number = 0;
    void deliver() noexcept override { log->push_back(number); }
};

TEST_CASE("mailbox: messages of one sender are delivered in order") {
    counting_waker waker;
    mailbox box(waker);
    std::vector<int> log;
    std::vector<note> notes(100);
    for (int i = 0; i < 100; ++i) {
        notes[static_cast<std::size_t>(i)].log = &log;
        notes[static_cast<std::size_t>(i)].number = i;
        box.post(notes[static_cast<std::size_t>(i)]);
    }
    REQUIRE(box.drain() == 100);
    for (int i = 0; i < 100; ++i)
        REQUIRE(log[static_cast<std::size_t>(i)] == i);
    REQUIRE(box.drain() == 0);
}

TEST_CASE("mailbox: only a sleeping owner is woken, and only once") {
    counting_waker waker;
    mailbox box(waker);
    std::vector<int> log;
    std::vector<note> notes(3);
    for (auto& n : notes)
        n.log = &log;
    box.post(notes[0]);
    REQUIRE(waker.wakes == 0);
    REQUIRE_FALSE(box.announce_sleep());
    REQUIRE(box.drain() == 1);
    REQUIRE(box.announce_sleep());
    box.post(notes[1]);
    box.post(notes[2]);
    REQUIRE(waker.wakes == 1);
}

TEST_CASE("mailbox: nothing is lost among concurrent senders") {
    counting_waker waker;
    mailbox box(waker);
    constexpr std::size_t senders = 4;
    constexpr std::size_t each = 2000;
    std::vector<int> log;
    std::vector<note> notes(senders * each);
    std::vector<std::thread> threads;
    for (std::size_t s = 0; s < senders; ++s)
        threads.emplace_back([&, s] {
            for (std::size_t i = 0; i < each; ++i) {
                note& n = notes[s * each + i];
                n.log = &log;
                n.number = static_cast<int>(s * each + i);
                box.post(n);
            }
        });
    std::size_t delivered = 0;
    while (delivered < senders * each)
        delivered += box.drain();
    for (auto& thread : threads)
        thread.join();
    REQUIRE(log.size() == senders * each);
    std::vector<bool> seen(senders * each);
    for (int number : log)
        seen[static_cast<std::size_t>(number)] = true;
    REQUIRE(std::find(seen.begin(), seen.end(), false) == seen.end());
}

} // namespace
