// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Lines on standard error. Allocates nothing and takes no lock: malloc may be the caller.

namespace preload {

/// "uffdmm-run: <text>", cut to some 1000 characters.
[[gnu::format(printf, 1, 2)]] void tell(const char* format, ...) noexcept;

} // namespace preload
