// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What a page is at one moment, as a migration, a snapshot or a dump needs to know it.

#include <cstdint>

#include "uffdmm/export.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {

enum class page_kind : std::uint8_t {
    untouched,   ///< never written, or discarded: reads as zeros, nothing to send
    same_filled, ///< repeats the 64-bit word `pattern`, which is not 0
    resident,    ///< in the guest: read it there
    swapped,     ///< out of the guest; its contents are in the buffer, if one was given
    located,     ///< out of the guest, on storage that other hosts see
    lost,        ///< poisoned: no contents any more, every access is a machine check
    unreadable   ///< out of the guest, and the tier failed to read it; the page is unharmed
};
inline constexpr unsigned page_kinds = 7;
[[nodiscard]] UFFDMM_CXX_API const char* to_string(page_kind kind) noexcept;

struct page_record {
    page_kind kind = page_kind::untouched;
    std::uint8_t tier = 0;     ///< index in stats().tiers, for swapped (0: staged, no tier yet),
                               ///< located and unreadable
    errc cause = errc::ok;     ///< unreadable: io_error or corrupt
    std::uint64_t pattern = 0; ///< same_filled
};

} // namespace uffdmm
