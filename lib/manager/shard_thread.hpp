// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A shard on the real kernel, with the thread that drives it. The only loop of the library:
///
///     for (;;) { hint = shard.step(); waiter.wait(spare.use(...) ? poll : gather(hint), mail); }
///
/// Whatever goes wrong in it stops the process: a shard that answers no faults would hang the
/// guest, and closing its userfaultfd would show it zeros (handler_dies).

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <thread>

#include "executor/spare_time.hpp"
#include "kernel/guest_memory.hpp"
#include "kernel/linux_kernel.hpp"
#include "kernel/shard_waiter.hpp"
#include "placement/gathering.hpp"
#include "uffdmm/engine/shard.hpp"
#include "uffdmm/executor.hpp"

namespace uffdmm {

/// What every shard of a manager shares. Owned by the manager, which outlives its regions.
struct shard_services {
    budget& money;
    executor& workers;
    shard_observer& observer;
    std::span<const tier_factory> tiers;
    std::chrono::microseconds spin{0};
    shard_tuning tuning;
    gathering_place* gather = nullptr; ///< where threads may be gathered
};

class shard_thread final : private squeeze_listener {
  public:
    /// Registers the slice and builds the shard; the thread starts with start(). Throws
    /// setup_error; nothing stays behind.
    shard_thread(const guest_slice& slice, const region_config& config,
                 const shard_services& shared, unsigned number);
    shard_thread(const shard_thread&) = delete;
    shard_thread& operator=(const shard_thread&) = delete;
    /// Ends the thread and fault handling. What is not in the guest by then is lost: see restore.
    ~shard_thread();

    /// Set-up, before start(): a page that has contents already.
    void adopt_resident(page_index page) { engine_->adopt_resident(page); }
    void start();

    /// API threads. The command, made for queue(), lives until its wait() returns.
    void post(command& c) noexcept { mail_.post(c); }
    [[nodiscard]] command_queue& queue() noexcept { return engine_->commands(); }
    /// Posts a command and waits for it.
    result<void> run(command::kind what, page_run run);

    [[nodiscard]] page_count pages() const noexcept { return os_.pages(); }
    [[nodiscard]] kernel_traits traits() const noexcept { return os_.traits(); }
    /// Any thread: only counters and the account are read.
    [[nodiscard]] const shard<linux_kernel>& engine() const noexcept { return *engine_; }

    /// Any thread: see shard::take_awaited().
    [[nodiscard]] page_index take_awaited() noexcept { return engine_->take_awaited(); }

    /// Bytes of metadata a shard of `pages` pages will charge, at most.
    [[nodiscard]] static byte_count estimated_metadata(page_count pages) noexcept;

  private:
    void loop() noexcept;
    [[nodiscard]] wait_hint gather(wait_hint hint) noexcept;
    void squeezed() noexcept override { waiter_.wake(); }
    [[nodiscard]] std::vector<std::unique_ptr<swap_tier>> make_tiers(const shard_services& shared,
                                                                     unsigned number);

    shard_waiter waiter_;
    mailbox mail_;
    spare_time spare_;
    linux_kernel os_;
    std::optional<shard<linux_kernel>> engine_; ///< ends before its mail does
    std::optional<gathering> gathering_;        ///< where threads may be gathered
    unsigned number_;
    std::thread thread_; ///< last: everything it uses is there
};

} // namespace uffdmm
