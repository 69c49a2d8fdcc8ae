// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// JSON text → document.

#include <string_view>

#include "config/key.hpp"

namespace uffdmm {

/// Throws setup_error (invalid_config): bad syntax with line and column, a key given twice with its
/// path. Comments are not allowed.
[[nodiscard]] json parse_document(std::string_view text);

} // namespace uffdmm
