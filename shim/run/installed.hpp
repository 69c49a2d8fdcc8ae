// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Where the library is that uffdmm-run preloads.

#include <string>

namespace preload {

/// Beside this program (a build folder), or where an installation has it, which may have been moved
/// as a whole. Throws uffdmm::setup_error naming the places.
[[nodiscard]] std::string preload_library();

} // namespace preload
