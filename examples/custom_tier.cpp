// SPDX-License-Identifier: BSD-3-Clause
/// A swap tier written outside the library, and a region that swaps to it.
///
/// The tier keeps pages in an unlinked file that a thread of its own reads and writes; put calls of
/// your storage in place of pread and pwrite. A request goes to that thread, and comes back through
/// an eventfd that the shard thread watches: it never waits for the storage, so a fault that memory
/// can answer is not delayed by one that the storage must answer.
///
///     shard thread ── do_store, do_load ──► queue ──► storage thread: pwrite, pread
///     shard thread ◄── do_poll: store_done, load_done ◄── finished, eventfd

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <sys/eventfd.h>
#include <unistd.h>

#include "uffdmm/manager.hpp"
#include "uffdmm/tier.hpp"

namespace {

using namespace uffdmm;

/// A request under way: one of the two pointers is set.
struct work_item {
    store_request* store = nullptr;
    load_request* load = nullptr;
};

/// One object per shard, so that only the storage thread needs locking against.
class storage_tier final : public swap_tier {
  public:
    /// Throwing is allowed here, and nowhere else.
    explicit storage_tier(page_count capacity)
        : swap_tier({.name = "storage", .latency = tier_latency::local, .synchronous_load = false}),
          file_(std::tmpfile()), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), sums_(capacity) {
        if (file_ == nullptr || event_ < 0)
            throw setup_error(errc::io_error, "storage: cannot make a file and an eventfd");
        for (page_count i = 0; i < capacity; ++i)
            free_.push_back(capacity - 1 - i);
        thread_ = std::thread([this] { serve(); });
    }
    /// The shard has waited for every request before.
    ~storage_tier() override {
        {
            const std::lock_guard lock(mutex_);
            stop_ = true;
        }
        wake_.notify_one();
        thread_.join();
        ::close(event_);
        std::fclose(file_);
    }

  private:
    // Shard thread. No call may throw, block, or touch guest memory: requests point to frames.

    void do_store(std::span<store_request* const> requests, tier_client& client) noexcept override {
        std::vector<work_item> accepted;
        for (store_request* request : requests) {
            if (free_.empty()) { // not a failure: the next tier is tried
                request->status = tier_status::full;
                client.store_done(*request);
                continue;
            }
            request->slot = {free_.back()};
            free_.pop_back();
            accepted.push_back({.store = request});
        }
        hand_over(accepted);
    }
    void do_load(std::span<load_request* const> requests, tier_client&) noexcept override {
        std::vector<work_item> accepted;
        for (load_request* request : requests)
            accepted.push_back({.load = request});
        hand_over(accepted);
    }
    void do_release(slot_id slot) noexcept override { free_.push_back(slot.value); }

    void do_poll(tier_client& client) noexcept override {
        std::uint64_t ignored = 0;
        [[maybe_unused]] const ssize_t cleared = ::read(event_, &ignored, sizeof ignored);
        std::vector<work_item> finished;
        {
            const std::lock_guard lock(mutex_);
            finished.swap(finished_);
        }
        for (const work_item& item : finished) {
            if (item.load != nullptr)
                client.load_done(*item.load);
            else
                end_store(*item.store, client);
        }
    }
    void end_store(store_request& request, tier_client& client) {
        if (request.status != tier_status::ok)
            free_.push_back(std::exchange(request.slot, no_slot).value);
        client.store_done(request); // the request may be reused from within
    }
    [[nodiscard]] int do_event_fd() const noexcept override { return event_; }

    [[nodiscard]] tier_usage do_usage() const noexcept override {
        const std::uint64_t pages = sums_.size() - free_.size();
        return {.pages = pages,
                .stored_bytes = pages * page_size,
                .occupied_bytes = pages * page_size,
                .capacity_bytes = sums_.size() * page_size};
    }

    void hand_over(const std::vector<work_item>& items) {
        if (items.empty())
            return;
        {
            const std::lock_guard lock(mutex_);
            queue_.insert(queue_.end(), items.begin(), items.end());
        }
        wake_.notify_one(); // once for the batch
    }

    // Storage thread.

    void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
            if (queue_.empty())
                return;
            const std::vector<work_item> batch = std::exchange(queue_, {});
            lock.unlock();
            for (const work_item& item : batch)
                item.load != nullptr ? read_page(*item.load) : write_page(*item.store);
            lock.lock();
            finished_.insert(finished_.end(), batch.begin(), batch.end());
            const std::uint64_t one = 1;
            [[maybe_unused]] const ssize_t told = ::write(event_, &one, sizeof one);
        }
    }
    void write_page(store_request& request) {
        sums_[request.slot.value] = sum_of(request.contents);
        request.status = ::pwrite(::fileno(file_), request.contents, page_size,
                                  offset_of(request.slot)) == ssize_t{page_size}
                             ? tier_status::ok
                             : tier_status::failed;
    }
    void read_page(load_request& request) {
        if (::pread(::fileno(file_), request.destination, page_size, offset_of(request.slot)) !=
            ssize_t{page_size})
            request.status = tier_status::failed; // the library tries again
        else if (sum_of(request.destination) != sums_[request.slot.value])
            request.status = tier_status::corrupt; // the library poisons the page
        else
            request.status = tier_status::ok;
    }
    static std::size_t sum_of(const std::byte* page) {
        return std::hash<std::string_view>{}({reinterpret_cast<const char*>(page), page_size});
    }
    static off_t offset_of(slot_id slot) { return static_cast<off_t>(slot.value * page_size); }

    std::FILE* file_;
    int event_;
    std::vector<std::uint64_t> free_; ///< shard thread only
    std::vector<std::size_t> sums_;   ///< by slot; storage thread only
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<work_item> queue_;
    std::vector<work_item> finished_;
    bool stop_ = false;
    std::thread thread_;
};

/// Writes every page, then reads them all back, twice. Returns how many are wrong.
std::size_t use(region& memory) {
    const std::size_t pages = memory.size() / page_size;
    auto* words = reinterpret_cast<std::size_t*>(memory.data());
    constexpr std::size_t words_per_page = page_size / sizeof(std::size_t);
    for (std::size_t i = 0; i < pages * words_per_page; ++i)
        words[i] = i * i;
    std::size_t wrong = 0;
    for (int round = 0; round < 2; ++round)
        for (std::size_t page = 0; page < pages; ++page)
            for (std::size_t i = page * words_per_page; i < (page + 1) * words_per_page; ++i)
                if (words[i] != i * i) {
                    ++wrong;
                    break;
                }
    return wrong;
}

} // namespace

int main() try {
    manager_config config;
    config.limit = 16u << 20;
    config.tiers = {custom_tier_config{
        .name = "storage", .make = [](const tier_context& context) -> std::unique_ptr<swap_tier> {
            return std::make_unique<storage_tier>(context.shard_pages);
        }}};
    manager memory(config);
    region& ram = memory.add_region({.size = 64u << 20});

    const std::size_t wrong = use(ram);
    const stats s = memory.statistics();
    for (const tier_stats& tier : s.tiers)
        std::printf("tier %s: %lu pages, %lu written, %lu read\n", tier.name.c_str(), tier.pages,
                    tier.writes, tier.reads);
    std::printf("64 MiB in %lu MiB (peak), %zu pages wrong\n", s.peak_host_memory_bytes >> 20,
                wrong);
    const bool used = !s.tiers.empty() && s.tiers.back().reads > 0;
    return wrong == 0 && used ? EXIT_SUCCESS : EXIT_FAILURE;
} catch (const setup_error& e) {
    std::fprintf(stderr, "custom_tier: %s\n", e.what());
    return 2;
}
