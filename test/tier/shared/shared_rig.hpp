// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What tests of the shared store have in common.

#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "tier/file/file_rig.hpp"
#include "tier/shared/shared_volume.hpp"
#include "uffdmm/location.hpp"

namespace uffdmm::test {

/// 64 extents of 64 slots.
inline constexpr byte_count small_store = 64 * 64 * page_size;

[[nodiscard]] inline file_tier_config shared_config(std::string path,
                                                    byte_count size = small_store) {
    file_tier_config config = file_config(std::move(path), size);
    config.shared = true;
    return config;
}

[[nodiscard]] inline std::shared_ptr<shared_volume> open_volume(const std::string& path,
                                                                byte_count size = small_store) {
    return std::make_shared<shared_volume>(shared_config(path, size));
}

[[nodiscard]] inline handover_nonce nonce_of(std::uint8_t n) {
    handover_nonce nonce{};
    nonce.fill(n);
    return nonce;
}

/// Stores pages one call per 64, waiting for the keeper where it is behind.
[[nodiscard]] inline std::vector<slot_id> store_all(shard_rig& shard, shared_volume& volume,
                                                    const std::vector<std::uint64_t>& keys) {
    std::vector<slot_id> slots;
    for (const std::uint64_t key : keys) {
        auto stored = shard.store({key});
        if (stored.front().status == tier_status::full) {
            volume.tend();
            stored = shard.store({key});
        }
        REQUIRE(stored.front().status == tier_status::ok);
        slots.push_back(stored.front().slot);
    }
    return slots;
}

[[nodiscard]] inline std::vector<location> locate_all(shard_rig& shard,
                                                      const std::vector<slot_id>& slots) {
    std::vector<location> places;
    for (const slot_id slot : slots) {
        const auto place = shard.tier().locate(slot);
        REQUIRE(place.ok());
        places.push_back(place.value());
    }
    return places;
}

[[nodiscard]] inline std::vector<slot_id> adopt_all(shard_rig& shard,
                                                    const std::vector<location>& places) {
    std::vector<slot_id> slots;
    for (const location& place : places) {
        const auto slot = shard.tier().adopt(place, slots.size());
        REQUIRE(slot.ok());
        slots.push_back(slot.value());
    }
    return slots;
}

/// Nobody has anything in the store.
inline void require_all_free(const std::string& path) {
    volume_table table(path);
    const auto all = table.look();
    REQUIRE(all.ok());
    CHECK(all.value().volumes.empty());
    CHECK(all.value().free_extents == table.file().geometry().extents());
    CHECK(all.value().stray_extents == 0);
    CHECK(all.value().damaged_entries == 0);
}

/// A store, and two managers with a shard each in it.
struct two_managers {
    temporary_directory directory;
    std::string path = directory.file("store");
    std::shared_ptr<shared_volume> a = open_volume(path);
    std::shared_ptr<shared_volume> b = open_volume(path);
    shard_rig source{a};
    shard_rig destination{b};

    /// Source stores the keys; the destination adopts them.
    void hand_over(const std::vector<std::uint64_t>& keys) {
        stored = store_all(source, *a, keys);
        places = locate_all(source, stored);
        REQUIRE(b->attach(a->volume()).ok());
        adopted = adopt_all(destination, places);
    }
    std::vector<slot_id> stored;
    std::vector<location> places;
    std::vector<slot_id> adopted;
};

} // namespace uffdmm::test
