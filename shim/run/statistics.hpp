// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What --stats writes and --control answers.

#include <string>

#include "run/managed_space.hpp"

namespace preload {

/// A JSON object: what the interception did, and the library's statistics.
[[nodiscard]] std::string statistics_of(managed_space& s);

} // namespace preload
