// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// validate() for a part of a larger configuration: messages name keys below `path`.

#include <string>

#include "uffdmm/config.hpp"

namespace uffdmm {

void check_manager(const manager_config& config, const std::string& path);
void check_region(const region_config& config, const std::string& path);

} // namespace uffdmm
