// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What the policies are measured against. Both see every touch, which nobody outside the kernel
/// does, evict single pages, and have no memory set aside.

#include <cstdint>
#include <span>

#include "uffdmm/types.hpp"

namespace policy_sim {

/// Touches from `counted_from` on that miss, least recently used pages leaving.
[[nodiscard]] std::uint64_t lru_misses(std::span<const std::uint32_t> touches,
                                       std::size_t counted_from, uffdmm::page_count pages,
                                       uffdmm::page_count capacity);

/// The same with foresight (Belady's MIN): the page needed again last leaves. No policy that takes
/// in what is touched misses less.
[[nodiscard]] std::uint64_t optimal_misses(std::span<const std::uint32_t> touches,
                                           std::size_t counted_from, uffdmm::page_count pages,
                                           uffdmm::page_count capacity);

} // namespace policy_sim
