// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A tier for tests: keeps pages in a map, finishes requests when told, fails when told, and
/// aborts when the engine breaks the tier contract (a slot freed twice, loaded after release,
/// released while a request on it is pending).

#include <atomic>
#include <cstring>
#include <deque>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "uffdmm/check.hpp"
#include "uffdmm/tier.hpp"

namespace uffdmm::test {

/// What a test turns, on any thread; shared with the tier, which the shard owns.
struct fake_tier_controls {
    std::size_t capacity_pages = SIZE_MAX;
    std::atomic<bool> fail_stores{false};
    std::atomic<bool> fail_loads{false};
    std::atomic<bool> refuse_stores{false}; ///< for now
    std::atomic<bool> reject_stores{false}; ///< for ever
    std::atomic<bool> corrupt_next_load{false};
    std::atomic<bool> hold{false}; ///< finish nothing in poll()
    std::atomic<bool> latest_first{false};
    std::atomic<bool> away{false};         ///< of a remote tier: stores fail, loads wait
    std::set<std::uint64_t> reported_lost; ///< owners whose load failed or was corrupt
    /// Nothing fails, fills up or is held back from now on.
    void behave() {
        capacity_pages = SIZE_MAX;
        for (std::atomic<bool>* flag : {&fail_stores, &fail_loads, &refuse_stores, &reject_stores,
                                        &corrupt_next_load, &hold, &latest_first, &away})
            *flag = false;
    }

    std::size_t stored_pages = 0;
    std::size_t pending = 0;
    std::uint64_t loads = 0;
    std::multiset<std::uint64_t> rejected; ///< owners, once for each time
};

class fake_tier final : public swap_tier {
  public:
    struct shape {
        bool synchronous = true;
        bool counts_in_limit = true;
        bool remote = false;
    };
    fake_tier(shape s, std::shared_ptr<fake_tier_controls> controls)
        : swap_tier(
              {"fake", latency_of(s), s.synchronous, s.counts_in_limit, false, s.synchronous}),
          shape_(s), controls_(std::move(controls)) {}
    ~fake_tier() override { UFFDMM_CHECK(work_.empty(), "no request outlives its tier"); }

  private:
    struct held_page {
        std::uint64_t owner = 0;
        std::vector<std::byte> contents;
        int reading = 0; ///< loads under way
    };
    struct work {
        store_request* store = nullptr;
        load_request* load = nullptr;
    };

    [[nodiscard]] static tier_latency latency_of(const shape& s) {
        if (s.remote)
            return tier_latency::remote;
        return s.synchronous ? tier_latency::memory : tier_latency::local;
    }

    [[nodiscard]] bool do_reachable() const noexcept override { return !controls_->away; }
    void do_store(std::span<store_request* const> requests, tier_client& client) noexcept override {
        for (store_request* request : requests)
            start({request, nullptr}, client);
    }
    void do_load(std::span<load_request* const> requests, tier_client& client) noexcept override {
        for (load_request* request : requests) {
            UFFDMM_CHECK(pages_.contains(request->slot.value), "a load names a slot that exists");
            ++pages_.at(request->slot.value).reading;
            if (shape_.synchronous)
                finish({nullptr, request}, client);
            else
                start({nullptr, request}, client);
        }
    }
    void do_release(slot_id slot) noexcept override {
        const auto page = pages_.find(slot.value);
        UFFDMM_CHECK(page != pages_.end(), "a slot is freed once");
        UFFDMM_CHECK(page->second.reading == 0, "no slot is freed while it is read");
        pages_.erase(page);
        std::erase(order_, slot.value);
        controls_->stored_pages = pages_.size();
    }
    void do_poll(tier_client& client) noexcept override {
        if (controls_->hold || controls_->away)
            return;
        // Bounded: finishing may start new requests.
        for (std::size_t n = work_.size(); n != 0 && !work_.empty(); --n) {
            const work w = controls_->latest_first ? work_.back() : work_.front();
            if (controls_->latest_first)
                work_.pop_back();
            else
                work_.pop_front();
            --controls_->pending;
            finish(w, client);
        }
    }
    [[nodiscard]] tier_usage do_usage() const noexcept override {
        tier_usage usage;
        usage.pages = pages_.size();
        usage.stored_bytes = pages_.size() * page_size / 2;
        usage.occupied_bytes = usage.stored_bytes;
        usage.memory_bytes = shape_.counts_in_limit ? usage.stored_bytes : 0;
        if (controls_->capacity_pages != SIZE_MAX)
            usage.capacity_bytes = controls_->capacity_pages * page_size / 2;
        return usage;
    }
    std::size_t do_coldest(std::span<cold_slot> out) noexcept override {
        std::size_t n = 0;
        for (auto it = order_.begin(); it != order_.end() && n < out.size(); ++it)
            out[n++] = {slot_id{*it}, pages_.at(*it).owner};
        return n;
    }

    void start(const work& w, tier_client&) {
        work_.push_back(w);
        ++controls_->pending;
    }
    void finish(const work& w, tier_client& client) {
        if (w.store != nullptr) {
            w.store->status = put(*w.store);
            client.store_done(*w.store);
        } else {
            --pages_.at(w.load->slot.value).reading;
            w.load->status = get(*w.load);
            client.load_done(*w.load);
        }
    }
    tier_status put(store_request& request) {
        if (controls_->fail_stores || controls_->away)
            return tier_status::failed;
        if (controls_->refuse_stores)
            return tier_status::busy;
        if (controls_->reject_stores) {
            controls_->rejected.insert(request.owner);
            return tier_status::rejected;
        }
        if (pages_.size() >= controls_->capacity_pages)
            return tier_status::full;
        request.slot = slot_id{next_slot_++};
        held_page& page = pages_[request.slot.value];
        page.owner = request.owner;
        page.contents.assign(request.contents, request.contents + page_size);
        order_.push_back(request.slot.value);
        controls_->stored_pages = pages_.size();
        return tier_status::ok;
    }
    tier_status get(load_request& request) {
        const held_page& page = pages_.at(request.slot.value);
        ++controls_->loads;
        if (controls_->corrupt_next_load || controls_->fail_loads) {
            controls_->reported_lost.insert(page.owner);
            const bool corrupt = controls_->corrupt_next_load;
            controls_->corrupt_next_load = false;
            return corrupt ? tier_status::corrupt : tier_status::failed;
        }
        std::memcpy(request.destination, page.contents.data(), page_size);
        return tier_status::ok;
    }

    shape shape_;
    std::shared_ptr<fake_tier_controls> controls_;
    std::unordered_map<std::uint64_t, held_page> pages_;
    std::deque<std::uint64_t> order_;
    std::deque<work> work_;
    std::uint64_t next_slot_ = 1;
};

} // namespace uffdmm::test
