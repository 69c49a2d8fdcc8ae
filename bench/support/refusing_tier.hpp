// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A tier that takes no page, as if none of them compressed: what is evicted stays staged.

#include <memory>

#include "uffdmm/tier.hpp"

namespace uffdmm::bench {

class refusing_tier final : public swap_tier {
  public:
    refusing_tier() : swap_tier({.name = "refusing"}) {}

  private:
    void do_store(std::span<store_request* const> requests, tier_client& client) noexcept override {
        for (store_request* const request : requests) {
            request->status = tier_status::rejected;
            client.store_done(*request);
        }
    }
    void do_load(std::span<load_request* const> requests, tier_client& client) noexcept override {
        for (load_request* const request : requests) {
            request->status = tier_status::failed;
            client.load_done(*request);
        }
    }
    void do_release(slot_id) noexcept override {}
    [[nodiscard]] tier_usage do_usage() const noexcept override { return {}; }
};

inline std::unique_ptr<swap_tier> make_refusing_tier(const tier_context&) {
    return std::make_unique<refusing_tier>();
}

} // namespace uffdmm::bench
