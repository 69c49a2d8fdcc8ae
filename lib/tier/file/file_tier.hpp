// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A swap tier on a file, a block device, or whatever else has an aio_queue.
///
///     store/load ─► waiting (linked through tier_data) ─► run_op: one I/O of up to 64 neighbouring
///                                                         slots ─► submit ─► reap ─► done ─►
///                                                         client
///
/// Requests wait for one of queue_depth I/Os; requests for consecutive slots become one I/O,
/// wherever their buffers are. Reads go first, since faults wait for them. An I/O that ends short
/// is started again for the rest; a read of several pages that fails is repeated page by page, so
/// that one bad block loses one page. A slot's checksum and generation are kept in memory
/// (slot_name.hpp) and verified when it is read: a torn, lost or misdirected write shows as
/// `corrupt`.
///
/// Freed slots are discarded in groups of 64 (trimmer), while there is no other I/O.
///
/// With a shared volume (tier/shared) slots can be leased to other hosts and adopted from them.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "tier/file/aio_queue.hpp"
#include "tier/file/file_store.hpp"
#include "tier/file/slot_allocator.hpp"
#include "tier/file/trimmer.hpp"
#include "tier/request_list.hpp"
#include "tier/shared/slot_sharing.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/detail/growing_table.hpp"
#include "uffdmm/tier.hpp"

namespace uffdmm {

class file_tier final : public swap_tier, private trim_listener {
  public:
    struct parts {
        std::shared_ptr<slot_store> store;
        std::unique_ptr<aio_queue> queue; ///< on the store, for at least `depth` I/Os
        unsigned depth = 1;
        executor& workers; ///< after the tier, these two finish a trim that is under way
        mailbox& home;
        tier_latency latency = tier_latency::local;
        /// Where a worker that waits for the medium is not good enough.
        std::function<std::unique_ptr<trimmer>(aio_queue&, trim_listener&)> make_trimmer = nullptr;
        std::shared_ptr<shared_volume> sharing = nullptr; ///< whose store `store` is
    };
    file_tier(std::string name, parts p);
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
    [[nodiscard]] bool do_reachable() const noexcept override { return queue_->reachable(); }
    [[nodiscard]] shared_store* do_shared() const noexcept override;
    [[nodiscard]] store_id do_identity() const noexcept override;
    [[nodiscard]] result<location> do_locate(slot_id slot) noexcept override;
    void do_end_leases() noexcept override;
    [[nodiscard]] result<slot_id> do_adopt(const location& place,
                                           std::uint64_t owner) noexcept override;

    void refuse_all(std::span<store_request* const> requests, tier_status why) noexcept;
    [[nodiscard]] slot_run allocate(std::uint32_t wanted) noexcept;
    void end_store(store_request& request, tier_status status) noexcept;
    void store_run(std::span<store_request* const> requests) noexcept;
    void remember_checksum(store_request& request) noexcept;
    [[nodiscard]] std::uint32_t number_of(slot_id name) const noexcept {
        return naming_.number_of(name);
    }
    /// The slot's name, but for its contents' checksum.
    [[nodiscard]] slot_id name_now(std::uint32_t slot) const noexcept {
        return naming_.name(slot, slot_naming::generation_in(pool_.slot_record(slot)));
    }
    [[nodiscard]] bool holds(std::uint32_t slot) const noexcept {
        return slots_.holds(slot) || (sharing_ != nullptr && sharing_->holds(slot));
    }
    [[nodiscard]] std::uint32_t checksum_of(const std::byte* contents, slot_id name) const noexcept;
    /// Whether the name is of the slot's present generation.
    [[nodiscard]] bool fits(slot_id name) const noexcept {
        return naming_.generation_of(name) ==
               slot_naming::generation_in(pool_.slot_record(number_of(name)));
    }
    void enqueue(load_request& request) noexcept;

    [[nodiscard]] bool has_free_op() const noexcept {
        return free_ops_ != nullptr || ops_.can_grow();
    }
    [[nodiscard]] run_op& take_op() noexcept;
    void start() noexcept;
    [[nodiscard]] bool reads_go_first() noexcept;
    [[nodiscard]] bool has_waiting() const noexcept;
    void start_next() noexcept;
    template <typename Request>
    void start_run(request_list<Request>& waiting, request_list<Request> run_op::*requests,
                   std::uint32_t most) noexcept;
    template <typename Request>
    void aim(run_op& op, const request_list<Request>& requests) noexcept;
    void submit() noexcept;

    void ended(run_op& op) noexcept;
    void again(run_op& op) noexcept;
    void fail(run_op& op, std::int64_t os_errno) noexcept;
    void finish(run_op& op, std::uint64_t pages, tier_status status) noexcept;
    void finish(store_request& request, tier_status status) noexcept;
    void finish(load_request& request, tier_status status) noexcept;
    void deliver(tier_client& client) noexcept;

    void trim() noexcept;
    void trim_ended() noexcept override;
    [[nodiscard]] bool trim_is_urgent() const noexcept;

    std::shared_ptr<slot_store> store_;
    extent_pool& pool_;
    slot_naming naming_;
    slot_allocator slots_;
    std::unique_ptr<slot_sharing> sharing_; ///< or nullptr
    std::unique_ptr<aio_queue> queue_;
    growing_table<run_op> ops_; ///< those that were ever in use
    run_op* free_ops_ = nullptr;
    std::vector<io_op*> unsubmitted_; ///< first `ready_` are in use
    std::size_t ready_ = 0;
    std::size_t in_flight_ = 0;  ///< submitted and not reaped
    std::vector<io_op*> reaped_; ///< scratch of do_poll()
    request_list<store_request> waiting_stores_;
    request_list<load_request> waiting_loads_;
    request_list<load_request> suspect_loads_; ///< failed with others, to be read alone
    unsigned reads_in_a_row_ = 0;              ///< started while a write waited
    request_list<store_request> done_stores_;
    request_list<load_request> done_loads_;
    bool delivering_ = false;
    std::unique_ptr<trimmer> trim_;
};

/// Opens and sizes the storage that all shards' tiers will share. Throws setup_error naming the key
/// (`tiers[].path`, `size`, ...) and what is allowed.
[[nodiscard]] tier_factory make_file_tier_factory(const file_tier_config& config);

} // namespace uffdmm
