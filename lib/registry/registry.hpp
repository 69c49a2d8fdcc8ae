// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Policies and prefetchers by the names that configuration uses.

#include <span>
#include <string_view>

#include "uffdmm/policy.hpp"
#include "uffdmm/prefetcher.hpp"

namespace uffdmm {

[[nodiscard]] std::span<const std::string_view> policy_names() noexcept;
[[nodiscard]] std::span<const std::string_view> prefetcher_names() noexcept;

/// Throw setup_error (invalid_config) naming the key ("policy", "prefetch"), the value and what is
/// allowed. `max_window`: largest window in pages, cut to max_prefetch_window.
[[nodiscard]] policy_factory find_policy(std::string_view name);
[[nodiscard]] prefetcher_factory find_prefetcher(std::string_view name, page_count max_window);

} // namespace uffdmm
