// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "tier/file/file_rig.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

/// Random operations of one shard with many requests under way, against a map of what is stored.
class model {
  public:
    model(std::shared_ptr<file_store> store, std::uint64_t seed, std::uint64_t salt)
        : shard_(std::move(store), 16), random_(seed + salt), next_key_(salt << 32),
          pages_(mapping::anonymous(buffers * page_size)) {
        for (std::size_t i = 0; i < buffers; ++i)
            free_.push_back(i);
        shard_.client.on_store = [this](store_request& r) { stored(r); };
        shard_.client.on_load = [this](load_request& r) { loaded(r); };
    }

    void step() {
        switch (random_() % 8) {
        case 0:
        case 1:
        case 2:
            store();
            break;
        case 3:
        case 4:
            load();
            break;
        case 5:
            release();
            break;
        default:
            shard_.tier().poll(shard_.client);
            if (random_() % 4 == 0)
                shard_.around.settle();
        }
        UFFDMM_CHECK(shard_.tier().usage().pages >= model_.size(), "usage counts what is stored");
    }
    void finish() {
        wait();
        UFFDMM_CHECK(shard_.tier().usage().pages == model_.size(), "usage is exact at rest");
        while (!model_.empty()) {
            load();
            wait();
            release();
        }
        shard_.around.settle();
        UFFDMM_CHECK(shard_.tier().usage().pages == 0, "everything was released");
    }
    [[nodiscard]] std::size_t full() const { return full_; }
    [[nodiscard]] std::size_t verified() const { return verified_; }

  private:
    static constexpr std::size_t buffers = 256;

    struct page {
        std::uint64_t key = 0;
        bool reading = false;
    };

    void store() {
        const std::size_t n = std::min<std::size_t>(1 + random_() % 80, free_.size());
        std::vector<store_request*> list;
        for (std::size_t i = 0; i < n; ++i) {
            const std::size_t buffer = take_buffer();
            store_request& r = stores_[buffer];
            r = {};
            r.owner = next_key_++;
            r.contents = pages_.data() + buffer * page_size;
            fill_page(pages_.data() + buffer * page_size, r.owner);
            list.push_back(&r);
        }
        shard_.tier().store(list, shard_.client);
    }
    void stored(store_request& r) {
        give_back_buffer(r.contents);
        if (r.status == tier_status::full) {
            ++full_;
            return;
        }
        UFFDMM_CHECK(r.status == tier_status::ok, "a store is ok or full");
        UFFDMM_CHECK(model_.emplace(r.slot.value, page{r.owner}).second, "a slot holds one page");
    }
    /// A run of what is stored, in order or not.
    void load() {
        auto at = model_.lower_bound(random_() % (std::uint64_t{1} << 33));
        std::vector<load_request*> list;
        for (std::size_t n = 1 + random_() % 64; n != 0 && !free_.empty(); --n) {
            if (at == model_.end())
                at = model_.begin();
            if (at == model_.end() || at->second.reading)
                break;
            const std::size_t buffer = take_buffer();
            load_request& r = loads_[buffer];
            r = {};
            r.slot = slot_id{at->first};
            r.destination = pages_.data() + buffer * page_size;
            at->second.reading = true;
            list.push_back(&r);
            ++at;
        }
        if (random_() % 4 == 0)
            std::shuffle(list.begin(), list.end(), random_);
        shard_.tier().load(list, shard_.client);
    }
    void loaded(load_request& r) {
        page& p = model_.at(r.slot.value);
        UFFDMM_CHECK(r.status == tier_status::ok && page_is(r.destination, p.key),
                     "what was stored is read");
        p.reading = false;
        ++verified_;
        give_back_buffer(r.destination);
    }
    void release() {
        auto at = model_.lower_bound(random_() % (std::uint64_t{1} << 33));
        for (std::size_t n = 1 + random_() % 200; n != 0; --n) {
            if (at == model_.end())
                at = model_.begin();
            if (at == model_.end() || at->second.reading)
                break;
            shard_.tier().release(slot_id{at->first});
            at = model_.erase(at);
        }
    }
    void wait() {
        while (free_.size() != buffers) {
            pollfd readable{shard_.tier().event_fd(), POLLIN, 0};
            UFFDMM_CHECK(::poll(&readable, 1, 30'000) == 1, "event_fd tells of completions");
            shard_.tier().poll(shard_.client);
        }
    }
    std::size_t take_buffer() {
        const std::size_t buffer = free_.back();
        free_.pop_back();
        return buffer;
    }
    void give_back_buffer(const std::byte* contents) {
        free_.push_back(static_cast<std::size_t>(contents - pages_.data()) / page_size);
    }

    shard_rig shard_;
    std::mt19937_64 random_;
    std::uint64_t next_key_;
    mapping pages_;
    std::array<store_request, buffers> stores_;
    std::array<load_request, buffers> loads_;
    std::vector<std::size_t> free_;
    std::map<std::uint64_t, page> model_;
    std::size_t full_ = 0;
    std::size_t verified_ = 0;
};

TEST_CASE("file_tier: random stores, loads and releases of shards sharing a file, against a map") {
    UFFDMM_INFO_SEED();
    const temporary_directory directory;
    const bool named = GENERATE(false, true);
    const std::string path = named ? directory.file("swap") : directory.path();
    const auto store = std::make_shared<file_store>(file_config(path, 700 * page_size));
    std::vector<std::unique_ptr<model>> shards;
    for (std::uint64_t i = 0; i < 3; ++i)
        shards.push_back(std::make_unique<model>(store, test::seed(), i));
    std::mt19937_64 random(test::seed());
    for (int i = 0; i < 3000; ++i)
        shards[random() % 3]->step();
    std::size_t full = 0;
    for (auto& shard : shards) {
        shard->finish();
        full += shard->full();
        REQUIRE(shard->verified() > 0);
    }
    REQUIRE(full > 0); // the file was small enough to run out
    REQUIRE(store->extents().free_extents() == store->extents().extents());
}

TEST_CASE("file_tier: shards on threads of their own do not disturb each other") {
    UFFDMM_INFO_SEED();
    const temporary_directory directory;
    const auto store =
        std::make_shared<file_store>(file_config(directory.path(), 1500 * page_size));
    const auto work = [&](std::uint64_t salt) {
        model shard(store, test::seed(), salt);
        for (int i = 0; i < 1000; ++i)
            shard.step();
        shard.finish();
    };
    std::thread one(work, 1);
    std::thread two(work, 2);
    work(3);
    one.join();
    two.join();
    REQUIRE(store->extents().free_extents() == store->extents().extents());
    REQUIRE(store->extents().owners() == 0);
}

} // namespace
