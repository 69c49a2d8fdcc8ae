// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A swap tier in compressed memory.
///
///     store ─► waiting ─► compress_job ─► executor ─► home ─► slab pool + record ─► poll ─► client
///     load  ─► record ─► checksum ─► decompress (on the shard thread, no lock, no allocation)
///
/// Compression is too slow for the path of a fault and decompression is not, so stores end in
/// poll() and loads inside the call. All else happens on the shard thread, so nothing here is
/// locked; the instances of a manager's shards share nothing but the quota.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>

#include "tier/ram/compress_job.hpp"
#include "tier/ram/page_codec.hpp"
#include "tier/ram/ram_quota.hpp"
#include "tier/ram/record_table.hpp"
#include "tier/ram/slab_pool.hpp"
#include "tier/request_list.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/tier.hpp"

namespace uffdmm {

class ram_tier final : public swap_tier, private compress_owner, private move_listener {
  public:
    /// Throws setup_error (no_memory).
    ram_tier(const ram_tier_config& config, std::shared_ptr<ram_quota> quota,
             const tier_context& context);
    /// No store is under way.
    ~ram_tier() override;

    /// Tests: the compressed bytes of a slot, to damage them.
    [[nodiscard]] std::span<std::byte> stored_bytes(slot_id slot) noexcept;
    [[nodiscard]] const slab_pool& pool() const noexcept { return pool_; }

  private:
    void do_store(std::span<store_request* const> requests, tier_client& client) noexcept override;
    void do_load(std::span<load_request* const> requests, tier_client& client) noexcept override;
    void do_release(slot_id slot) noexcept override;
    void do_poll(tier_client& client) noexcept override;
    [[nodiscard]] tier_usage do_usage() const noexcept override;
    [[nodiscard]] std::size_t do_coldest(std::span<cold_slot> out) noexcept override {
        return records_.oldest(out);
    }

    void compressed(compress_job& job) noexcept override;
    bool moved(std::uint32_t number, object_place from, object_place to) noexcept override;

    void start_jobs() noexcept;
    [[nodiscard]] compress_job& take_job() noexcept;
    [[nodiscard]] bool is_full() const noexcept;
    [[nodiscard]] tier_status keep(const compress_job& job, const compress_job::result& r) noexcept;
    [[nodiscard]] object_place place_for(std::uint32_t bytes, std::uint32_t number) noexcept;
    [[nodiscard]] tier_status read(const load_request& request) noexcept;
    void finish(store_request& request, tier_status status) noexcept;
    void deliver(tier_client& client) noexcept;

    std::shared_ptr<ram_quota> quota_;
    executor& workers_;
    slab_pool pool_;
    record_table records_;
    page_decompressor decompressor_;
    std::deque<compress_job> jobs_;
    compress_job* free_jobs_ = nullptr;
    std::size_t jobs_out_ = 0;   ///< submitted and not back
    byte_count job_bytes_ = 0;   ///< memory of one job
    byte_count jobs_memory_ = 0; ///< of those that were ever used
    request_list<store_request> waiting_;
    std::size_t waiting_count_ = 0;
    request_list<store_request> done_;
    bool delivering_ = false;
    byte_count stored_bytes_ = 0;
    bool was_full_ = false;          ///< and nothing was released since
    byte_count taken_when_full_ = 0; ///< of the quota
};

/// `limit`: the manager's, of which a size of 0 means half. All instances share the size. Throws
/// setup_error naming the key (`tiers[].level`, ...) and what is allowed.
[[nodiscard]] tier_factory make_ram_tier_factory(const ram_tier_config& config, byte_count limit);

} // namespace uffdmm
