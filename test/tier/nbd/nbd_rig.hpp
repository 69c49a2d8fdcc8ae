// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Requests that tests start and look at before they have ended.

#include <chrono>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/kernel_fixture.hpp"
#include "tier/file/file_rig.hpp"
#include "tier/nbd/nbd_server.hpp"
#include "tier/nbd/nbd_tier.hpp"

namespace uffdmm::test {

/// The message with which `config` is refused, or nothing.
[[nodiscard]] inline std::string refusal_of(const nbd_tier_config& config) {
    try {
        (void)make_nbd_tier_factory(config);
    } catch (const setup_error& e) {
        return e.what();
    }
    return {};
}

/// Pages on their way to a tier. Every `gap`th page of memory is used.
class stores_under_way {
  public:
    stores_under_way(shard_rig& rig, const std::vector<std::uint64_t>& keys, std::size_t gap = 1)
        : pages_(mapping::anonymous(keys.size() * gap * page_size)), requests(keys.size()) {
        std::vector<store_request*> list;
        for (std::size_t i = 0; i < keys.size(); ++i) {
            fill_page(pages_.data() + i * gap * page_size, keys[i]);
            requests[i].contents = pages_.data() + i * gap * page_size;
            requests[i].owner = keys[i];
            list.push_back(&requests[i]);
        }
        rig.tier().store(list, rig.client);
    }
    [[nodiscard]] bool all(tier_status status) const {
        return std::all_of(requests.begin(), requests.end(),
                           [status](const store_request& r) { return r.status == status; });
    }
    [[nodiscard]] std::vector<slot_id> slots() const {
        std::vector<slot_id> list;
        for (const store_request& request : requests)
            list.push_back(request.slot);
        return list;
    }

  private:
    mapping pages_;

  public:
    std::vector<store_request> requests;
};

/// Pages on their way from a tier.
class loads_under_way {
  public:
    loads_under_way(shard_rig& rig, const std::vector<slot_id>& slots)
        : pages_(mapping::anonymous(slots.size() * page_size)), requests(slots.size()) {
        std::vector<load_request*> list;
        for (std::size_t i = 0; i < slots.size(); ++i) {
            requests[i].slot = slots[i];
            requests[i].destination = pages_.data() + i * page_size;
            list.push_back(&requests[i]);
        }
        rig.tier().load(list, rig.client);
    }
    [[nodiscard]] bool all(tier_status status) const {
        return std::all_of(requests.begin(), requests.end(),
                           [status](const load_request& r) { return r.status == status; });
    }
    [[nodiscard]] bool hold(const std::vector<std::uint64_t>& keys) const {
        for (std::size_t i = 0; i < requests.size(); ++i)
            if (!page_is(requests[i].destination, keys[i]))
                return false;
        return all(tier_status::ok);
    }

  private:
    mapping pages_;

  public:
    std::vector<load_request> requests;
};

/// Polls until the tier says so.
inline void wait_until_reachable(shard_rig& rig, bool wanted) {
    for (int i = 0; rig.tier().reachable() != wanted; ++i) {
        REQUIRE(i < 3000);
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        rig.tier().poll(rig.client);
    }
}

} // namespace uffdmm::test
