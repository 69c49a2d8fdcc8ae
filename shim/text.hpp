// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Texts for a C caller, who ends them with uffdmm_free().

#include <string>

namespace uffdmm::shim {

/// Throws std::bad_alloc, and setup_error if `out` is NULL.
void give_text(const std::string& text, char** out);

} // namespace uffdmm::shim
