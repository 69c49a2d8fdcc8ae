// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A swap tier whose methods are the C functions of a uffdmm_tier_ops.

#include <string>

#include "uffdmm.h"
#include "uffdmm/tier.hpp"
#include "user_data.hpp"

namespace uffdmm::shim {

/// Throws setup_error naming the member under `path` that is missing or not allowed.
void check_tier_ops(const uffdmm_tier_ops& ops, const std::string& path);

/// Makes tiers by ops.open(data). `ops` has been checked.
[[nodiscard]] tier_factory c_tier_factory(const uffdmm_tier_ops& ops, std::string name,
                                          user_data data);

} // namespace uffdmm::shim
