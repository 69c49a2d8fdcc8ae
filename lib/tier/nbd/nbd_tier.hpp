// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A swap tier on a network block device: a file_tier whose I/O goes to an NBD server (README.md).

#include "uffdmm/config.hpp"
#include "uffdmm/tier.hpp"

namespace uffdmm {

/// Connects to the server that all shards' tiers will use. Throws setup_error naming the key
/// (`tiers[].uri`, `size`, ...) and what is allowed; not_supported where the library was built
/// without libnbd.
[[nodiscard]] tier_factory make_nbd_tier_factory(const nbd_tier_config& config);

} // namespace uffdmm
