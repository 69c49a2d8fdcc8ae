// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// One run from the first page to the last verification.

#include "overcommit/options.hpp"
#include "overcommit/report.hpp"

namespace overcommit {

/// Populates, runs, verifies. Throws uffdmm::setup_error if the library cannot start. An interrupt
/// (SIGINT) ends the run early; the verification follows all the same.
[[nodiscard]] report run_session(const options& asked);

} // namespace overcommit
