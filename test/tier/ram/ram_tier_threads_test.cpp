// SPDX-License-Identifier: BSD-3-Clause
#include <condition_variable>
#include <mutex>
#include <thread>

#include "executor/worker_pool.hpp"
#include "ram_world.hpp"
#include "support/seed.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

/// A thread that plays a shard: stores batches, sleeps until they are compressed, reads them back.
class busy_shard final : private waker, private tier_client {
  public:
    busy_shard(worker_pool& workers, const tier_factory& factory, std::uint64_t seed)
        : tier_(factory({workers, home_, 4096, 0})), random_(seed),
          contents_(mapping::anonymous(batch * page_size)), back_(mapping::anonymous(page_size)) {}

    void run(int rounds) {
        for (int i = 0; i < rounds; ++i)
            round();
    }
    /// A worker that has just posted here may not be done with the mailbox yet.
    void wait_for_workers() const {
        while (home_.expects_jobs())
            std::this_thread::yield();
    }
    [[nodiscard]] int wrong() const { return wrong_; }
    [[nodiscard]] int stored() const { return stored_; }

  private:
    static constexpr std::size_t batch = 64;

    void round() {
        std::array<store_request, batch> requests;
        std::array<store_request*, batch> list;
        for (std::size_t i = 0; i < batch; ++i) {
            std::byte* const page = contents_.data() + i * page_size;
            fill_page(page, static_cast<unsigned>(random_() % 100), random_);
            requests[i].contents = page;
            requests[i].owner = i;
            list[i] = &requests[i];
        }
        open_ = batch;
        tier_->store(list, *this);
        while (open_ != 0) {
            sleep_until_mail();
            tier_->poll(*this);
        }
        for (const store_request& request : requests)
            verify(request);
    }
    void verify(const store_request& request) {
        if (request.status != tier_status::ok)
            return;
        ++stored_;
        load_request load;
        load.slot = request.slot;
        load.destination = back_.data();
        load_request* const list[] = {&load};
        tier_->load(list, *this);
        wrong_ += load.status != tier_status::ok ||
                  std::memcmp(back_.data(), request.contents, page_size) != 0;
        if (random_() % 4 != 0)
            tier_->release(request.slot);
    }
    void sleep_until_mail() {
        if (home_.drain() != 0 || !home_.announce_sleep())
            return;
        std::unique_lock lock(mutex_);
        woken_.wait(lock, [this] { return mail_; });
        mail_ = false;
    }
    void wake() noexcept override {
        const std::lock_guard lock(mutex_);
        mail_ = true;
        woken_.notify_one();
    }
    void store_done(store_request&) noexcept override { --open_; }
    void load_done(load_request&) noexcept override {}

    std::mutex mutex_;
    std::condition_variable woken_;
    bool mail_ = false;
    mailbox home_{*this};
    std::unique_ptr<swap_tier> tier_;
    std::mt19937_64 random_;
    mapping contents_;
    mapping back_;
    std::size_t open_ = 0;
    int wrong_ = 0;
    int stored_ = 0;
};

TEST_CASE(
    "ram_tier: shards on threads of their own share workers and size without mixing pages up") {
    UFFDMM_INFO_SEED();
    for (const codec which : {codec::lz4, codec::zstd}) {
        ram_tier_config config;
        config.compression = which;
        config.size = 6 << 20;
        worker_pool workers(2);
        const tier_factory factory = make_ram_tier_factory(config, 0);
        std::deque<busy_shard> shards;
        std::deque<std::thread> threads;
        for (std::uint64_t s = 0; s < 3; ++s)
            shards.emplace_back(workers, factory, seed() + s);
        for (busy_shard& shard : shards)
            threads.emplace_back([&shard] { shard.run(60); });
        for (std::thread& thread : threads)
            thread.join();
        for (const busy_shard& shard : shards)
            shard.wait_for_workers();
        for (const busy_shard& shard : shards) {
            REQUIRE(shard.wrong() == 0);
            REQUIRE(shard.stored() > 500);
        }
    }
}

} // namespace
