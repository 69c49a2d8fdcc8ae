// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Installs untouched memory 2 MiB at a time, as the kernel does for memory of its own, while
/// memory is ample: while the limit would hold all that the shard is not holding yet. A block is
/// charged in full before, and its pages are resident from then on, touched or not. Where they have
/// to leave after all (the limit was lowered), they leave one by one, and those that nobody has
/// touched are found to be zero.
///
/// A huge page is a matter of speed only: whenever one can not be had, single pages serve.

#include <optional>

#include "uffdmm/engine/installer.hpp"
#include "uffdmm/engine/shard_core.hpp"

namespace uffdmm {

template <kernel Kernel>
class huge_filler {
  public:
    huge_filler(shard_core<Kernel>& core, installer<Kernel>& install)
        : core_(core), installer_(install) {}

    /// Once a step: whether memory is ample. The kernel is told before the first fault that may
    /// have a huge page: it must not make a page table for that.
    void step() {
        if (core_.traits.huge_page == 0)
            return;
        const std::int64_t spare = core_.money.fair_share() - all_resident();
        const bool ample = spare >= (core_.huge.wanted() ? 0 : reserve());
        if (ample == core_.huge.wanted())
            return;
        core_.huge.set_wanted(ample);
        core_.os.allow_huge(ample);
    }

    /// Installs the block around an untouched page. No value: single pages have to serve.
    [[nodiscard]] std::optional<install_status> fill(page_index page) {
        if (!core_.huge.wanted() || core_.step_ns < paused_until_)
            return std::nullopt;
        const page_run block = core_.huge.around(page);
        if (!core_.huge.can_be_huge(block) || !untouched(block))
            return std::nullopt;
        const auto spare = static_cast<page_count>(reserve() / std::int64_t{page_size});
        if (!core_.try_charge(block.count, spare))
            return std::nullopt;
        const install_result r = installer_.huge_zeros(block, page);
        if (r.done > page - block.first)
            return install_status::done;
        if (r.status == install_status::parked)
            return r.status;
        paused_until_ = core_.step_ns + pause_ns;
        return std::nullopt;
    }

  private:
    /// After an attempt in vain: the kernel has no huge page, and looking for one is dear.
    static constexpr std::uint64_t pause_ns = 1'000'000'000;

    /// What the shard would use if it had all of its pages in memory.
    [[nodiscard]] std::int64_t all_resident() const {
        const page_count absent =
            core_.pages() - static_cast<page_count>(core_.counts.resident_pages.load());
        return core_.money.used() + static_cast<std::int64_t>(bytes_of(absent));
    }
    /// Reclaim must have no reason to begin.
    [[nodiscard]] std::int64_t reserve() const {
        return core_.money.fair_share() / 1000 * core_.tuning.high_watermark_permille;
    }

    [[nodiscard]] bool untouched(page_run block) const {
        for (page_index page = block.first; page < block.end(); page = page + 1)
            if (!core_.fillable(page))
                return false;
        return true;
    }

    shard_core<Kernel>& core_;
    installer<Kernel>& installer_;
    std::uint64_t paused_until_ = 0;
};

} // namespace uffdmm
