// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What can be said about an NBD tier's keys without a server.

#include <string>

#include "uffdmm/config.hpp"

namespace uffdmm {

/// Throws setup_error (invalid_config). `path` names the tier.
void check_nbd(const nbd_tier_config& config, const std::string& path);

} // namespace uffdmm
