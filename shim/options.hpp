// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// C option structs as C++ configuration. Everything here throws setup_error naming the option
/// and what is allowed; values and combinations are then checked by the library's validate().

#include "uffdmm.h"
#include "uffdmm/config.hpp"

namespace uffdmm::shim {

/// Takes over every user_data within, also by throwing.
[[nodiscard]] manager_config to_config(const uffdmm_manager_options* options);
/// Empty for NULL. Takes over its user_data, also by throwing.
[[nodiscard]] event_handler to_handler(const uffdmm_event_handler* handler);
[[nodiscard]] region_config to_config(const uffdmm_region_options* options);

} // namespace uffdmm::shim
