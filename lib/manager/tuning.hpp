// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "uffdmm/config.hpp"
#include "uffdmm/engine/shard_core.hpp"

namespace uffdmm {

/// What a manager's configuration means for its shards, with what is left to the library decided.
[[nodiscard]] shard_tuning tuning_of(const manager_config& config);

} // namespace uffdmm
