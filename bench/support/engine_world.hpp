// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The parts of a shard that evict, on the real kernel and on the calling thread: no shard thread,
/// no tiers.

#include <memory>

#include "kernel/guest_memory.hpp"
#include "kernel/linux_kernel.hpp"
#include "registry/registry.hpp"
#include "uffdmm/engine/evictor.hpp"
#include "uffdmm/engine/installer.hpp"
#include "uffdmm/engine/shard_core.hpp"

namespace uffdmm::bench {

class engine_world final : private squeeze_listener, private shard_observer {
  public:
    engine_world(page_count pages, const char* policy)
        : money_(bytes_of(pages) * 4), memory_(region_of(pages)),
          os_(memory_.slice(0, pages), pages),
          core_(os_, {}, money_, *this, find_policy(policy), find_prefetcher("off", 1), {}, *this),
          installer_(core_), evictor_(core_) {}

    [[nodiscard]] shard_core<linux_kernel>& core() { return core_; }
    [[nodiscard]] std::byte* memory() const { return memory_.data(); }
    [[nodiscard]] evictor<linux_kernel>& evicts() { return evictor_; }

    /// Writes to an untouched page, as a guest would.
    void populate(page_index page) {
        UFFDMM_CHECK(core_.try_charge() &&
                         installer_.zeros(page, 1, first_demanded, true).done == 1,
                     "an untouched page can be filled");
    }
    /// A step of the shard begins: pages that came in before may leave.
    void begin_step() { core_.step_ns = os_.now_ns(); }
    /// Brings all staged pages back, and gives their frames up.
    void take_all_back() {
        for (page_index page{0}; page.value < core_.pages(); page = page + 1)
            if (core_.table[page].state() == page_state::staged)
                UFFDMM_CHECK(installer_.take_back(page, true) == install_status::done,
                             "a staged page can be taken back");
        while (release() != 0) {
        }
    }

  private:
    static region_config region_of(page_count pages) {
        region_config config;
        config.size = bytes_of(pages);
        return config;
    }
    page_count release() {
        const page_count n =
            core_.frames.release(true, 64, [&](auto runs) { (void)os_.release_frames(runs); });
        core_.uncharge(n);
        return n;
    }
    void squeezed() noexcept override {}
    void on_event(const event&) noexcept override {}

    budget money_;
    guest_memory memory_;
    linux_kernel os_;
    shard_core<linux_kernel> core_;
    installer<linux_kernel> installer_;
    evictor<linux_kernel> evictor_;
};

} // namespace uffdmm::bench
