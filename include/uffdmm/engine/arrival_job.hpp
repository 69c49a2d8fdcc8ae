// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What an arrive command brings with it: up to 64 pages that another host, or a snapshot, has
/// given, and how far each of them is.

#include <cstddef>
#include <cstdint>

#include "uffdmm/location.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Owned by the caller, like the command that names it; the shard's until that is done. Masks have
/// a bit for each page of the command's run, the first page's the lowest.
struct arrival_job {
    static constexpr page_count most = 64;

    std::uint64_t pages = 0;   ///< that arrive; the others of the run are left alone
    std::uint64_t zeros = 0;   ///< of them: those that are zeros
    std::uint64_t located = 0; ///< of them: those that are at `locations`
    std::uint64_t cold = 0;    ///< of the rest: those that go into a tier, not into memory
    bool replace = false;      ///< what the pages hold already may go; else the command fails, and
                               ///< changes nothing, unless all are untouched
    std::uint64_t lost = 0;    ///< of the rest: those whose contents nobody has any more
    bool expected = false;     ///< only pages that an expect command has announced, and that were
                               ///< not discarded since; `replace` means nothing then
    const std::byte* contents = nullptr; ///< a page for each of the run, page-aligned, not guest
                                         ///< memory
    const location* locations = nullptr; ///< one for each of the run

    /// Answer, with `replace`: pages that are in the guest. They keep what they hold: to be written
    /// there.
    std::uint64_t present = 0;

    /// Answer, with `expected`: why locations were refused, whose pages are lost.
    error refused;

    // The shard's.
    page_index first;
    std::uint64_t todo = 0;        ///< not taken care of yet
    std::uint64_t storing = 0;     ///< being offered to the tiers
    std::uint64_t turned_down = 0; ///< by every tier: into memory
    std::uint64_t since_ns = 0;    ///< of the first try that an unread event held up

    [[nodiscard]] std::uint64_t bit_of(page_index page) const {
        return std::uint64_t{1} << (page - first);
    }
    /// A store ended.
    void stored(page_index page, bool was_turned_down) {
        storing &= ~bit_of(page);
        if (!was_turned_down)
            return;
        todo |= bit_of(page);
        turned_down |= bit_of(page);
    }
};

} // namespace uffdmm
