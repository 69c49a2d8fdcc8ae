// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Set-up errors of the kernel layer, with what the operator can do about them.

#include <string>

#include "uffdmm/result.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Throws setup_error "<what>: <text of os_errno>", with an explanation for those errno values that
/// have one cause in practice: ENOMEM (many_vmas), EBUSY (one_uffd_per_range).
[[noreturn]] void setup_failure(const std::string& what, int os_errno);

/// "0x7f0000000000-0x7f0000400000"
[[nodiscard]] std::string range_text(const void* address, byte_count size);

} // namespace uffdmm
