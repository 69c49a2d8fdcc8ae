// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Tiers in one word each, as command lines have them: "ram:64M:zstd". All else about a tier has
/// its default; JSON (parse_config) can say it.

#include <string_view>
#include <vector>

#include "uffdmm/config.hpp"

namespace uffdmm {

/// A path or URI may contain colons. Of an export all is used. shared: a file that other hosts
/// mount too, in which pages can be handed over.
inline constexpr std::string_view tier_forms =
    "ram:SIZE[:lz4|zstd], file:PATH:SIZE, shared:PATH:SIZE, nbd:URI, with sizes like 64M";

/// "file:/var/tmp:2G" → configuration. Throws setup_error naming `key`, what is wrong, and what is
/// allowed.
[[nodiscard]] UFFDMM_CXX_API tier_config parse_tier(std::string_view spec, std::string_view key);

/// Tiers are told apart by name: of two named "ram" the second becomes "ram2".
UFFDMM_CXX_API void name_tiers(std::vector<tier_config>& tiers);

} // namespace uffdmm
