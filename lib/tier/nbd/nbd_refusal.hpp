// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Set-up of an NBD tier against its server, with refusals that name the key.

#include <chrono>

#include "tier/nbd/nbd_session.hpp"
#include "uffdmm/config.hpp"

namespace uffdmm {

/// The first connection. Throws setup_error.
[[nodiscard]] nbd_session first_session(const nbd_tier_config& config,
                                        std::chrono::milliseconds timeout);
/// What the server offers, if it is enough. Throws setup_error.
[[nodiscard]] nbd_export checked_export(const nbd_tier_config& config, const nbd_session& session);

} // namespace uffdmm
