// SPDX-License-Identifier: BSD-3-Clause
#include "executor/worker_pool.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <new>
#include <optional>
#include <pthread.h>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "detail/signals_blocked.hpp"
#include "uffdmm/check.hpp"
#include "uffdmm/detail/mutex.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

namespace asio = boost::asio;

/// Where Asio keeps one posted handler. In use from post() until just before the handler runs.
struct handler_place {
    alignas(std::max_align_t) std::array<std::byte, 128> bytes;
};

/// Gives Asio a handler_place for its one allocation per post.
template <typename T>
struct place_allocator {
    using value_type = T;

    explicit place_allocator(handler_place& p) noexcept : place(&p) {}
    template <typename U>
    place_allocator(const place_allocator<U>& other) noexcept : place(other.place) {}

    T* allocate(std::size_t n) const noexcept {
        UFFDMM_CHECK(n * sizeof(T) <= sizeof(handler_place), "a posted handler fits its place");
        return reinterpret_cast<T*>(place->bytes.data());
    }
    void deallocate(T*, std::size_t) const noexcept {}

    template <typename U>
    bool operator==(const place_allocator<U>& other) const noexcept {
        return place == other.place;
    }
    template <typename U>
    bool operator!=(const place_allocator<U>& other) const noexcept {
        return place != other.place;
    }

    handler_place* place;
};

} // namespace

class worker_pool::state {
  public:
    explicit state(unsigned workers)
        : context_(static_cast<int>(workers)), work_(asio::make_work_guard(context_)),
          at_rest_(workers == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << workers) - 1),
          numbers_(workers), numbered_(static_cast<std::ptrdiff_t>(workers)) {
        const signals_blocked guard;
        try {
            for (unsigned i = 0; i < workers; ++i)
                threads_.emplace_back([this, i] { serve(i); });
        } catch (const std::system_error& e) {
            finish();
            throw setup_error(errc::system,
                              "workers: thread " + std::to_string(threads_.size() + 1) + " of " +
                                  std::to_string(workers) + " cannot be started: " + e.what(),
                              e.code().value());
        }
        numbered_.wait();
    }
    ~state() { finish(); }
    state(const state&) = delete;
    state& operator=(const state&) = delete;

    void submit(std::span<job* const> jobs) noexcept {
        std::uint64_t woken = 0;
        {
            const mutex_lock lock(mutex_);
            for (job* j : jobs) {
                worker_pool::accept(*j);
                queue_.push(*j);
            }
            for (std::size_t n = 0; n < jobs.size() && at_rest_ != 0; ++n) {
                woken |= at_rest_ & (~at_rest_ + 1);
                at_rest_ &= at_rest_ - 1;
            }
        }
        for (; woken != 0; woken &= woken - 1)
            asio::post(context_, hand_out{this, static_cast<unsigned>(std::countr_zero(woken))});
    }

    [[nodiscard]] std::span<const std::uint32_t> numbers() const noexcept { return numbers_; }

  private:
    /// What is posted to Asio: a worker's turn of emptying the queue. There are as many turns as
    /// workers, each with its own place, so that posting allocates nothing.
    struct hand_out {
        using allocator_type = place_allocator<std::byte>;
        state* pool;
        unsigned turn;
        [[nodiscard]] allocator_type get_allocator() const noexcept {
            return allocator_type(pool->places_[turn]);
        }
        void operator()() const noexcept { pool->take_turn(turn); }
    };

    void serve(unsigned index) {
        numbers_[index] = static_cast<std::uint32_t>(::gettid());
        numbered_.count_down();
        ::pthread_setname_np(::pthread_self(), "uffdmm-worker");
        context_.run();
    }

    void take_turn(unsigned turn) noexcept {
        while (job* j = pop_or_rest(turn))
            worker_pool::run_and_post(*j);
    }

    /// The oldest job; nullptr if there is none, and then the turn is over.
    [[nodiscard]] job* pop_or_rest(unsigned turn) noexcept {
        const mutex_lock lock(mutex_);
        if (!queue_.empty())
            return &queue_.pop();
        at_rest_ |= std::uint64_t{1} << turn;
        return nullptr;
    }

    void finish() noexcept {
        work_.reset();
        for (std::thread& thread : threads_)
            thread.join();
    }

    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::array<handler_place, most_workers> places_;
    mutex mutex_;
    std::uint64_t at_rest_ UFFDMM_GUARDED_BY(mutex_); ///< a bit per turn that is not posted
    job_queue queue_ UFFDMM_GUARDED_BY(mutex_);
    std::vector<std::uint32_t> numbers_; ///< constant once numbered_ has come to 0
    std::latch numbered_;
    std::vector<std::thread> threads_;
};

worker_pool::worker_pool(unsigned workers) {
    if (workers < 1 || workers > most_workers)
        throw setup_error(errc::invalid_config,
                          "workers: " + std::to_string(workers) + " is not allowed, 1 to 64 are");
    state_ = std::make_unique<state>(workers);
}

worker_pool::~worker_pool() = default;

void worker_pool::submit(std::span<job* const> jobs) noexcept {
    state_->submit(jobs);
}

std::span<const std::uint32_t> worker_pool::threads() const noexcept {
    return state_->numbers();
}

} // namespace uffdmm
