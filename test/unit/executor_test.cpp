// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/executor.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <pthread.h>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include "executor/worker_pool.hpp"
#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "uffdmm/result.hpp"

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

/// Lets a thread wait for a number to be reached.
class meeting {
  public:
    void arrive() {
        const std::lock_guard lock(mutex_);
        ++arrived_;
        changed_.notify_all();
    }
    void wait_for(std::size_t n) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return arrived_ >= n; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t arrived_ = 0;
};

/// A home whose owner sleeps until it gets mail.
struct sleeper final : waker {
    std::mutex mutex;
    std::condition_variable woken;
    bool mail = false;
    mailbox box{*this};

    sleeper() = default;
    sleeper(const sleeper&) = delete;
    sleeper& operator=(const sleeper&) = delete;
    /// A worker that has just posted here may not be done with the mailbox yet.
    ~sleeper() {
        while (box.expects_jobs())
            std::this_thread::yield();
    }

    void wake() noexcept override {
        const std::lock_guard lock(mutex);
        mail = true;
        woken.notify_one();
    }
    /// Delivers `n` messages.
    void drain(std::size_t n) {
        while (n != 0) {
            const std::size_t delivered = box.drain();
            n -= delivered;
            if (delivered != 0 || !box.announce_sleep())
                continue;
            std::unique_lock lock(mutex);
            woken.wait(lock, [this] { return mail; });
            mail = false;
        }
    }
};

/// Runs a function on a worker, and remembers what happened.
template <typename Function>
struct function_job final : job {
    function_job(mailbox& home, Function f) : job(home), function(std::move(f)) {}
    void run() noexcept override {
        ran_on = std::this_thread::get_id();
        function();
    }
    void deliver() noexcept override { ++delivered; }

    Function function;
    std::thread::id ran_on;
    int delivered = 0;
};

template <typename Function>
std::deque<function_job<Function>> make_jobs(std::size_t n, mailbox& home, Function function) {
    std::deque<function_job<Function>> jobs; // jobs stay where they are
    for (std::size_t i = 0; i < n; ++i)
        jobs.emplace_back(home, function);
    return jobs;
}

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

TEST_CASE("worker_pool: every job of every batch runs once and comes home") {
    for (const unsigned workers : {1u, 3u}) {
        worker_pool pool(workers);
        sleeper home;
        std::atomic<int> runs{0};
        const auto count = [&runs] { runs.fetch_add(1, std::memory_order_relaxed); };
        auto jobs = make_jobs(200, home.box, count);
        std::vector<job*> batch;
        for (auto& j : jobs)
            batch.push_back(&j);
        for (std::size_t at = 0, n = 1; at < batch.size(); at += n, n = n % 17 + 1) {
            n = std::min(n, batch.size() - at);
            pool.submit(std::span(batch).subspan(at, n));
        }
        home.drain(jobs.size());
        REQUIRE(runs == 200);
        for (const auto& j : jobs) {
            REQUIRE(j.delivered == 1);
            REQUIRE(j.ran_on != std::this_thread::get_id());
        }
    }
}

TEST_CASE("worker_pool: a job can be submitted again as soon as it is delivered") {
    worker_pool pool(2);
    sleeper home;
    std::atomic<int> runs{0};
    const auto count = [&runs] { runs.fetch_add(1, std::memory_order_relaxed); };
    function_job<decltype(count)> again(home.box, count);
    job* const batch[] = {&again};
    for (int i = 1; i <= 2000; ++i) {
        pool.submit(batch);
        home.drain(1);
        REQUIRE(again.delivered == i);
    }
    REQUIRE(runs == 2000);
}

TEST_CASE("worker_pool: jobs of one batch run on all workers at once") {
    worker_pool pool(3);
    sleeper home;
    meeting all;
    const auto meet = [&all] { // each waits for the others: one worker alone would never end
        all.arrive();
        all.wait_for(3);
    };
    auto jobs = make_jobs(3, home.box, meet);
    job* const batch[] = {&jobs[0], &jobs[1], &jobs[2]};
    pool.submit(batch);
    home.drain(3);
    REQUIRE(jobs[0].ran_on != jobs[1].ran_on);
    REQUIRE(jobs[1].ran_on != jobs[2].ran_on);
}

TEST_CASE("worker_pool: a mailbox expects a job from its submission until it is posted") {
    worker_pool pool(1);
    sleeper home;
    meeting may_end;
    auto jobs = make_jobs(1, home.box, [&may_end] { may_end.wait_for(1); });
    REQUIRE_FALSE(home.box.expects_jobs());
    job* const batch[] = {&jobs[0]};
    pool.submit(batch);
    REQUIRE(home.box.expects_jobs());
    REQUIRE(home.box.empty());
    may_end.arrive();
    while (home.box.expects_jobs())
        std::this_thread::yield();
    REQUIRE(home.box.drain() == 1); // what was expected is there
    REQUIRE(jobs[0].delivered == 1);
}

TEST_CASE("worker_pool: one worker runs jobs in the order they were submitted") {
    worker_pool pool(1);
    sleeper home;
    std::vector<int> order;
    int next = 0;
    const auto note_order = [&order](int n) { return [&order, n] { order.push_back(n); }; };
    std::deque<function_job<decltype(note_order(0))>> jobs;
    for (int i = 0; i < 50; ++i)
        jobs.emplace_back(home.box, note_order(i));
    for (auto& j : jobs) {
        job* const batch[] = {&j};
        pool.submit(batch);
    }
    home.drain(jobs.size());
    for (int number : order)
        REQUIRE(number == next++);
    REQUIRE(next == 50);
}

TEST_CASE("worker_pool: the destructor finishes every submitted job") {
    sleeper home;
    meeting started;
    meeting go;
    std::atomic<int> runs{0};
    const auto wait = [&] {
        started.arrive();
        go.wait_for(1);
        runs.fetch_add(1, std::memory_order_relaxed);
    };
    auto jobs = make_jobs(40, home.box, wait);
    {
        worker_pool pool(2);
        for (auto& j : jobs) {
            job* const batch[] = {&j};
            pool.submit(batch);
        }
        started.wait_for(2); // both are busy, 38 jobs wait
        go.arrive();
    }
    REQUIRE(runs == 40);
    REQUIRE(home.box.drain() == 40);
}

TEST_CASE("worker_pool: submitting allocates nothing") {
    worker_pool pool(2);
    sleeper home;
    const auto nothing = [] {};
    auto jobs = make_jobs(64, home.box, nothing);
    std::vector<job*> batch;
    for (auto& j : jobs)
        batch.push_back(&j);
    const std::uint64_t before = test::allocations_of_this_thread();
    for (int i = 0; i < 100; ++i) {
        pool.submit(batch);
        home.drain(batch.size());
    }
    REQUIRE(test::allocations_of_this_thread() == before);
    int* volatile taken = new int;
    delete taken;
    REQUIRE(test::allocations_of_this_thread() > before); // the counter counts
}

TEST_CASE("worker_pool: workers are named and take no signals") {
    worker_pool pool(1);
    sleeper home;
    std::array<char, 16> name{};
    sigset_t blocked;
    const auto look = [&] {
        ::pthread_getname_np(::pthread_self(), name.data(), name.size());
        ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    };
    function_job<decltype(look)> j(home.box, look);
    job* const batch[] = {&j};
    pool.submit(batch);
    home.drain(1);
    REQUIRE(std::string(name.data()) == "uffdmm-worker");
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGCHLD})
        REQUIRE(::sigismember(&blocked, signal) == 1);
    sigset_t here;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &here);
    REQUIRE(::sigismember(&here, SIGTERM) == 0);
}

TEST_CASE("worker_pool: it knows the numbers of its threads from the start") {
    worker_pool pool(3);
    const std::vector<std::uint32_t> known(pool.threads().begin(), pool.threads().end());
    REQUIRE(known.size() == 3);
    CHECK(std::count(known.begin(), known.end(), 0u) == 0);
    sleeper home;
    std::uint32_t number = 0;
    const auto look = [&] { number = static_cast<std::uint32_t>(::gettid()); };
    function_job<decltype(look)> j(home.box, look);
    job* const batch[] = {&j};
    pool.submit(batch);
    home.drain(1);
    CHECK(std::count(known.begin(), known.end(), number) == 1);
}

TEST_CASE("worker_pool: several shards submit at once and each gets its own jobs back") {
    worker_pool pool(2);
    std::vector<std::thread> shards;
    std::atomic<int> wrong{0};
    for (int s = 0; s < 3; ++s)
        shards.emplace_back([&] {
            sleeper home;
            const auto nothing = [] {};
            auto jobs = make_jobs(16, home.box, nothing);
            std::vector<job*> batch;
            for (auto& j : jobs)
                batch.push_back(&j);
            for (int i = 1; i <= 200; ++i) {
                pool.submit(batch);
                home.drain(batch.size());
                for (const auto& j : jobs)
                    wrong += j.delivered != i;
            }
        });
    for (auto& shard : shards)
        shard.join();
    REQUIRE(wrong == 0);
}

TEST_CASE("worker_pool: a number of workers that is not allowed is refused by name") {
    for (const unsigned workers : {0u, 65u}) {
        try {
            const worker_pool pool(workers);
            FAIL("accepted");
        } catch (const setup_error& e) {
            REQUIRE(e.code() == errc::invalid_config);
            REQUIRE(std::string(e.what()).find("workers") != std::string::npos);
            REQUIRE(std::string(e.what()).find("1 to 64") != std::string::npos);
        }
    }
}

} // namespace
