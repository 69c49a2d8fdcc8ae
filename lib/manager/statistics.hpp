// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Sums of the counters of shards.

#include <span>
#include <string>

#include "kernel/linux_kernel.hpp"
#include "uffdmm/engine/shard.hpp"
#include "uffdmm/stats.hpp"

namespace uffdmm {

/// Any thread; takes no lock. `to.tiers` has an element per tier of the chain already.
void add_counters(stats& to, const shard<linux_kernel>& from);

/// Leaves what counts up and clears what tells about now: what remains of a shard that is gone.
void clear_amounts(stats& of) noexcept;

/// What follows from sums: host memory over the limit, metadata per page.
void derive(stats& of) noexcept;

} // namespace uffdmm
