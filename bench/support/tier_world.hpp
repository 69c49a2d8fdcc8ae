// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A tier with what it needs around it, on the calling thread: jobs run when they are submitted.

#include <array>
#include <memory>
#include <span>
#include <vector>

#include <sched.h>

#include "support/contents.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/executor.hpp"
#include "uffdmm/tier.hpp"

namespace uffdmm::bench {

class immediate_executor final : public executor {
  public:
    void submit(std::span<job* const> jobs) noexcept override {
        for (job* const j : jobs) {
            mailbox& home = j->home();
            j->run();
            home.post(*j);
        }
    }
};

class tier_world final : private waker, private tier_client {
  public:
    /// Requests that are in flight at once, at most.
    static constexpr std::size_t most = 64;
    static constexpr page_count pages = 1 << 14;

    explicit tier_world(const tier_factory& make)
        : buffers_(mapping::anonymous(most * page_size)), mail_(*this),
          tier_(make({workers_, mail_, pages, 0})) {
        std::mt19937_64 random(1);
        for (std::size_t i = 0; i < most; ++i)
            fill(buffers_.data() + i * page_size, contents::mixed, random);
    }

    /// Stores `n` pages and waits for them; false if the tier did not take them.
    bool store(std::size_t n) {
        std::array<store_request*, most> list;
        for (std::size_t i = 0; i < n; ++i) {
            stores_[i] = {};
            stores_[i].contents = buffers_.data() + i * page_size;
            stores_[i].owner = i;
            list[i] = &stores_[i];
        }
        pending_ = n;
        tier_->store(std::span(list).first(n), *this);
        finish();
        return stores_[n - 1].status == tier_status::ok;
    }
    /// Loads what the last store() stored.
    bool load(std::size_t n) {
        std::array<load_request*, most> list;
        for (std::size_t i = 0; i < n; ++i) {
            loads_[i] = {};
            loads_[i].slot = stores_[i].slot;
            loads_[i].destination = buffers_.data() + i * page_size;
            list[i] = &loads_[i];
        }
        pending_ = n;
        tier_->load(std::span(list).first(n), *this);
        finish();
        return loads_[n - 1].status == tier_status::ok;
    }
    void release(std::size_t n) {
        for (std::size_t i = 0; i < n; ++i)
            tier_->release(stores_[i].slot);
    }

  private:
    void finish() {
        for (;;) {
            (void)mail_.drain();
            tier_->poll(*this);
            if (pending_ == 0)
                return;
            ::sched_yield();
        }
    }
    void wake() noexcept override {}
    void store_done(store_request&) noexcept override { --pending_; }
    void load_done(load_request&) noexcept override { --pending_; }

    mapping buffers_;
    immediate_executor workers_;
    mailbox mail_;
    std::unique_ptr<swap_tier> tier_;
    std::array<store_request, most> stores_;
    std::array<load_request, most> loads_;
    std::size_t pending_ = 0;
};

} // namespace uffdmm::bench
