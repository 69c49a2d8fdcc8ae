// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// From configuration to tiers: opens files once per manager, makes a tier object per shard.

#include <string>
#include <vector>

#include "uffdmm/config.hpp"
#include "uffdmm/tier.hpp"

namespace uffdmm {

/// One factory per tier of the chain. Throws setup_error; nothing stays behind.
[[nodiscard]] std::vector<tier_factory> make_tier_factories(const manager_config& config);

/// Names of the chain's tiers, "same-filled" first.
[[nodiscard]] std::vector<std::string> tier_names(const manager_config& config);

} // namespace uffdmm
