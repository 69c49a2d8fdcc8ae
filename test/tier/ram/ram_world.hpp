// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A compressed RAM tier with what it needs around it: an executor that runs jobs when told, a
/// mailbox, a client, and pages of known compressibility. No threads.

#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include <sys/mman.h>

#include "support/catch.hpp"
#include "tier/ram/ram_tier.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/executor.hpp"
#include "uffdmm/tier.hpp"

namespace uffdmm::test {

/// Runs jobs on this thread, when told, the latest first if asked to.
class stepped_executor final : public executor {
  public:
    bool latest_first = false;

    void submit(std::span<job* const> jobs) noexcept override {
        for (job* j : jobs)
            waiting_.push_back(j);
    }
    [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
    bool run_one() {
        if (waiting_.empty())
            return false;
        job* const next = latest_first ? waiting_.back() : waiting_.front();
        if (latest_first)
            waiting_.pop_back();
        else
            waiting_.pop_front();
        mailbox& home = next->home();
        next->run();
        home.post(*next);
        return true;
    }

  private:
    std::deque<job*> waiting_;
};

class recording_client final : public tier_client {
  public:
    std::vector<store_request*> stored;
    std::size_t loaded = 0;
    void store_done(store_request& request) noexcept override { stored.push_back(&request); }
    void load_done(load_request&) noexcept override { ++loaded; }
};

/// A page that LZ4 compresses to about `percent` of its size: random bytes, the rest a short
/// period. Says what it is by its content only.
inline void fill_page(std::byte* page, unsigned percent, std::mt19937_64& random) {
    const std::size_t noise = page_size * percent / 100;
    for (std::size_t i = 0; i < page_size; i += 8) {
        const std::uint64_t word = i < noise ? random() : 0x0102'0304'0506'0708u;
        std::memcpy(page + i, &word, 8);
    }
}

/// A page of words: what text and structured data look like to a compressor.
inline void fill_text(std::byte* page, std::mt19937_64& random) {
    static const char* const words[] = {"page",   "fault",  "the",    "kernel", "of",     "memory",
                                        "return", "struct", "0x7f3a", "list",   "static", "queue",
                                        "and",    "if (",   "slot",   "tier",   "shard",  "\n    ",
                                        "while",  "const",  "12",     "::",     "->",     "error"};
    std::size_t at = 0;
    while (at < page_size) {
        const char* word = words[random() % std::size(words)];
        for (; *word != 0 && at < page_size; ++word, ++at)
            page[at] = static_cast<std::byte>(*word);
        // Numbers and names that do not repeat.
        for (std::uint64_t r = random(), n = r % 7; n != 0 && at < page_size; --n, r >>= 6, ++at)
            page[at] = static_cast<std::byte>(' ' + (r & 63));
    }
}

class ram_world final : private waker {
  public:
    static constexpr page_count pages = 8192;

    stepped_executor workers;
    mailbox home{*this};
    recording_client client;
    std::unique_ptr<swap_tier> tier;

    explicit ram_world(const ram_tier_config& config)
        : tier(make_ram_tier_factory(config, 0)({workers, home, pages, 0})) {}
    /// One of several instances of a factory.
    explicit ram_world(const tier_factory& factory) : tier(factory({workers, home, pages, 0})) {}
    ~ram_world() { settle(); }

    /// Lets everything that is under way end.
    void settle() {
        do {
            while (workers.run_one()) {
            }
            (void)home.drain();
            tier->poll(client);
        } while (workers.waiting() != 0);
    }
    /// Calls poll() as an idle shard does in the long run.
    void idle() {
        for (int i = 0; i < 20'000; ++i)
            tier->poll(client);
    }

    /// Stores one page to the end.
    store_request store(std::uint64_t owner, const std::byte* contents) {
        store_request request;
        request.owner = owner;
        request.contents = contents;
        store_request* const list[] = {&request};
        client.stored.clear();
        tier->store(list, client);
        settle();
        REQUIRE(client.stored.size() == 1);
        return request;
    }
    [[nodiscard]] tier_status load(slot_id slot, std::byte* destination) {
        load_request request;
        request.slot = slot;
        request.destination = destination;
        load_request* const list[] = {&request};
        const std::size_t before = client.loaded;
        tier->load(list, client);
        REQUIRE(client.loaded == before + 1);
        return request.status;
    }

    [[nodiscard]] ram_tier& ram() { return static_cast<ram_tier&>(*tier); }

    /// Pages of the pool that the kernel says are in memory.
    [[nodiscard]] std::size_t resident_pool_pages() {
        const slab_pool& pool = ram().pool();
        std::vector<unsigned char> present(pool.address_bytes() / page_size);
        auto* const start = const_cast<std::byte*>(pool.addresses());
        REQUIRE(::mincore(start, pool.address_bytes(), present.data()) == 0);
        std::size_t n = 0;
        for (const unsigned char p : present)
            n += p & 1;
        return n;
    }

  private:
    void wake() noexcept override {}
};

} // namespace uffdmm::test
