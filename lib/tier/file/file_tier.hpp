// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A swap tier on a file or block device.
///
///     store/load ─► waiting (linked through tier_data) ─► run_op: one I/O of up to 64 neighbouring
///                                                         slots ─► submit ─► reap ─► done ─►
///                                                         client
///
/// Requests wait for one of queue_depth I/Os; requests for consecutive slots become one I/O,
/// wherever their buffers are. Reads go first, since faults wait for them. An I/O that ends short
/// is started again for the rest. A slot's checksum and generation are kept in memory and verified
/// when it is read: a torn, lost or misdirected write shows as `corrupt`.

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tier/file/aio_queue.hpp"
#include "tier/file/file_store.hpp"
#include "tier/file/request_list.hpp"
#include "tier/file/slot_allocator.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/tier.hpp"

namespace uffdmm {

class file_tier final : public swap_tier {
  public:
    /// `queue` works on store->fd() with at least `depth` I/Os. Throws setup_error (no memory).
    file_tier(std::string name, std::shared_ptr<file_store> store, std::unique_ptr<aio_queue> queue,
              unsigned depth);
    /// Waits for I/O under way; requests that have not ended never will.
    ~file_tier() override;

  private:
    struct run_op : io_op {
        request_list<store_request> stores; ///< one of the two is empty
        request_list<load_request> loads;
        unsigned stalls = 0; ///< ends in a row without a page of progress
        std::array<iovec, slot_allocator::longest_run> buffers;
        run_op* next_free = nullptr;
    };

    void do_store(std::span<store_request* const> requests, tier_client& client) noexcept override;
    void do_load(std::span<load_request* const> requests, tier_client& client) noexcept override;
    void do_release(slot_id slot) noexcept override;
    void do_poll(tier_client& client) noexcept override;
    [[nodiscard]] int do_event_fd() const noexcept override { return queue_->event_fd(); }
    [[nodiscard]] tier_usage do_usage() const noexcept override;

    void store_run(std::span<store_request* const> requests) noexcept;
    void enqueue(load_request& request) noexcept;

    void start() noexcept;
    [[nodiscard]] bool reads_go_first() noexcept;
    template <typename Request>
    void start_run(request_list<Request>& waiting,
                   request_list<Request> run_op::*requests) noexcept;
    template <typename Request>
    void aim(run_op& op, const request_list<Request>& requests) noexcept;
    void submit() noexcept;

    void ended(run_op& op) noexcept;
    void finish(run_op& op, std::uint64_t pages, tier_status status) noexcept;
    void finish(store_request& request, tier_status status) noexcept;
    void finish(load_request& request, tier_status status) noexcept;
    void deliver(tier_client& client) noexcept;
    void trim() noexcept;

    std::shared_ptr<file_store> store_;
    extent_pool& pool_;
    slot_allocator slots_;
    std::unique_ptr<aio_queue> queue_;
    std::vector<run_op> ops_;
    run_op* free_ops_ = nullptr;
    std::vector<io_op*> unsubmitted_; ///< first `ready_` are in use
    std::size_t ready_ = 0;
    std::size_t in_flight_ = 0;  ///< submitted and not reaped
    std::vector<io_op*> reaped_; ///< scratch of do_poll()
    request_list<store_request> waiting_stores_;
    request_list<load_request> waiting_loads_;
    unsigned reads_in_a_row_ = 0; ///< started while a write waited
    request_list<store_request> done_stores_;
    request_list<load_request> done_loads_;
    bool delivering_ = false;
    bool armed_ = false; ///< the next poll is for trimming or another submit
};

/// Opens and sizes the storage that all shards' tiers will share. Throws setup_error naming the key
/// (`tiers[].path`, `size`, ...) and what is allowed.
[[nodiscard]] tier_factory make_file_tier_factory(const file_tier_config& config);

} // namespace uffdmm
