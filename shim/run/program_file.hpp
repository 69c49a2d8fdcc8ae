// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Whether a library can be put in front of a program's.

#include <string>

namespace preload {

/// Why the dynamic linker would start the program without the library, though nothing would say so:
/// it is static, setuid, has file capabilities, is of another architecture or C library. "" where
/// there is no reason, or no such program. `name` is looked for as execvp does; of a script the
/// interpreter counts.
[[nodiscard]] std::string why_unmanaged(const std::string& name);

} // namespace preload
