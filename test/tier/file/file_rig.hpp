// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What tests of the file tier share: a directory on a disk, shards that store and load pages with
/// recognisable contents, and executors that run when told.

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <poll.h>
#include <stdlib.h>

#include "support/catch.hpp"
#include "tier/file/file_tier.hpp"
#include "tier/file/memory_queue.hpp"
#include "tier/shared/shared_volume.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/executor.hpp"
#include "uffdmm/tier.hpp"

namespace uffdmm::test {

/// A fresh directory in UFFDMM_TEST_DIR or /var/tmp (a disk: tmpfs is refused); removed at the end.
class temporary_directory {
  public:
    temporary_directory() {
        const char* parent = std::getenv("UFFDMM_TEST_DIR");
        std::string name = std::string(parent != nullptr ? parent : "/var/tmp") + "/uffdmm-XXXXXX";
        UFFDMM_CHECK(::mkdtemp(name.data()) != nullptr, "a directory for tests can be made");
        path_ = name;
    }
    temporary_directory(const temporary_directory&) = delete;
    temporary_directory& operator=(const temporary_directory&) = delete;
    ~temporary_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
    [[nodiscard]] bool empty() const { return std::filesystem::is_empty(path_); }

  private:
    std::string path_;
};

[[nodiscard]] inline file_tier_config file_config(std::string path, byte_count size) {
    file_tier_config config;
    config.path = std::move(path);
    config.size = size;
    config.preallocate = false;
    return config;
}

/// The message with which `config` is refused, or nothing.
[[nodiscard]] inline std::string refusal_of(const file_tier_config& config) {
    try {
        (void)make_file_tier_factory(config);
    } catch (const setup_error& e) {
        return e.what();
    }
    return {};
}

/// Contents that name `key`; different keys differ in every word.
inline void fill_page(std::byte* page, std::uint64_t key) {
    for (std::size_t i = 0; i < page_size / 8; ++i) {
        const std::uint64_t word = (key + 1) * 0x9e37'79b9'7f4a'7c15 + i;
        std::memcpy(page + i * 8, &word, 8);
    }
}
[[nodiscard]] inline bool page_is(const std::byte* page, std::uint64_t key) {
    std::array<std::byte, page_size> wanted;
    fill_page(wanted.data(), key);
    return std::memcmp(page, wanted.data(), page_size) == 0;
}

/// Runs jobs when told, on the caller's thread.
class manual_executor final : public executor {
  public:
    void submit(std::span<job* const> jobs) noexcept override {
        jobs_.insert(jobs_.end(), jobs.begin(), jobs.end());
    }
    std::size_t run() {
        const std::vector<job*> jobs = std::exchange(jobs_, {});
        for (job* j : jobs) {
            j->run();
            j->home().post(*j);
        }
        return jobs.size();
    }
    [[nodiscard]] std::size_t waiting() const { return jobs_.size(); }

  private:
    std::vector<job*> jobs_;
};

struct no_waker final : waker {
    void wake() noexcept override {}
};

/// The executor and the mailbox of a tier under test; outlives the tier and finishes its jobs.
struct surroundings {
    no_waker sleeper;
    mailbox home{sleeper};
    manual_executor workers;

    surroundings() = default;
    surroundings(const surroundings&) = delete;
    surroundings& operator=(const surroundings&) = delete;
    ~surroundings() { settle(); }

    void settle() {
        while (workers.run() + home.drain() != 0) {
        }
    }
};

/// Counts how requests end; a request that ends twice, or without being pending, aborts.
class strict_client final : public tier_client {
  public:
    std::size_t stores = 0;
    std::size_t loads = 0;
    std::function<void(store_request&)> on_store; ///< called from within
    std::function<void(load_request&)> on_load;

    void store_done(store_request& request) noexcept override {
        UFFDMM_CHECK(request.status != tier_status::pending, "a store ends with a status");
        ++stores;
        if (on_store)
            on_store(request);
    }
    void load_done(load_request& request) noexcept override {
        UFFDMM_CHECK(request.status != tier_status::pending, "a load ends with a status");
        ++loads;
        if (on_load)
            on_load(request);
    }
};

/// One shard's tier, and calls that wait until everything has ended.
class shard_rig {
  public:
    shard_rig(std::shared_ptr<file_store> store, std::unique_ptr<aio_queue> queue, unsigned depth)
        : tier_(std::make_unique<file_tier>("file",
                                            file_tier::parts{std::move(store), std::move(queue),
                                                             depth, around.workers, around.home})) {
    }
    explicit shard_rig(std::shared_ptr<file_store> store, unsigned depth = 64)
        : shard_rig(store, make_linux_aio_queue(store->fd(), depth), depth) {}
    explicit shard_rig(const std::shared_ptr<shared_volume>& volume, unsigned depth = 64) {
        file_tier::parts p{volume->store(), make_linux_aio_queue(volume->fd(), depth), depth,
                           around.workers, around.home};
        p.sharing = volume;
        tier_ = std::make_unique<file_tier>("file", std::move(p));
    }
    shard_rig(std::shared_ptr<file_store> store, std::shared_ptr<queue_script> script,
              unsigned depth = 64)
        : shard_rig(std::move(store), std::make_unique<memory_queue>(depth, script), depth) {}

    explicit shard_rig(const tier_factory& make)
        : tier_(make({around.workers, around.home, 1024, 0})) {}

    surroundings around;
    strict_client client;

    [[nodiscard]] swap_tier& tier() { return *tier_; }
    void destroy() { tier_.reset(); }

    void wait_for_event() {
        pollfd readable{tier_->event_fd(), POLLIN, 0};
        if (readable.fd >= 0)
            REQUIRE(::poll(&readable, 1, 30'000) == 1);
    }
    /// Polls until `stores` and `loads` have ended altogether.
    void finish(std::size_t stores, std::size_t loads) {
        for (int rounds = 0; client.stores < stores || client.loads < loads; ++rounds) {
            REQUIRE(rounds < 100'000);
            wait_for_event();
            tier_->poll(client);
        }
        REQUIRE(client.stores == stores);
        REQUIRE(client.loads == loads);
    }

    /// Stores pages with the contents of `keys`; returns the requests, ended.
    std::vector<store_request> store(const std::vector<std::uint64_t>& keys) {
        const mapping pages = mapping::anonymous(keys.size() * page_size);
        std::vector<store_request> requests(keys.size());
        std::vector<store_request*> list;
        for (std::size_t i = 0; i < keys.size(); ++i) {
            fill_page(pages.data() + i * page_size, keys[i]);
            requests[i].contents = pages.data() + i * page_size;
            requests[i].owner = keys[i];
            list.push_back(&requests[i]);
        }
        const std::size_t before = client.stores;
        tier_->store(list, client);
        finish(before + keys.size(), client.loads);
        return requests;
    }
    /// Stores pages that must all find a place; returns the slots.
    std::vector<slot_id> stored(const std::vector<std::uint64_t>& keys) {
        std::vector<slot_id> slots;
        for (const store_request& request : store(keys)) {
            REQUIRE(request.status == tier_status::ok);
            slots.push_back(request.slot);
        }
        return slots;
    }
    /// Loads slots together; returns the statuses. A page that is ok has the contents of its key.
    std::vector<tier_status> load(const std::vector<slot_id>& slots,
                                  const std::vector<std::uint64_t>& keys) {
        if (slots.empty())
            return {};
        const mapping pages = mapping::anonymous(slots.size() * page_size);
        std::vector<load_request> requests(slots.size());
        std::vector<load_request*> list;
        for (std::size_t i = 0; i < slots.size(); ++i) {
            requests[i].slot = slots[i];
            requests[i].destination = pages.data() + i * page_size;
            list.push_back(&requests[i]);
        }
        const std::size_t before = client.loads;
        tier_->load(list, client);
        finish(client.stores, before + slots.size());
        std::vector<tier_status> statuses;
        for (std::size_t i = 0; i < slots.size(); ++i) {
            statuses.push_back(requests[i].status);
            if (requests[i].status == tier_status::ok)
                REQUIRE(page_is(requests[i].destination, keys[i]));
        }
        return statuses;
    }
    void require_contents(const std::vector<slot_id>& slots,
                          const std::vector<std::uint64_t>& keys) {
        for (const tier_status status : load(slots, keys))
            REQUIRE(status == tier_status::ok);
    }
    void release(const std::vector<slot_id>& slots) {
        for (const slot_id slot : slots)
            tier_->release(slot);
    }

  private:
    std::unique_ptr<swap_tier> tier_;
};

[[nodiscard]] inline std::vector<std::uint64_t> keys(std::uint64_t first, std::size_t n) {
    std::vector<std::uint64_t> list(n);
    for (std::size_t i = 0; i < n; ++i)
        list[i] = first + i;
    return list;
}

[[nodiscard]] inline std::uint32_t slot_number(slot_id slot) {
    return slot_naming(1).number_of(slot); // of a file below 64 GiB
}

} // namespace uffdmm::test
