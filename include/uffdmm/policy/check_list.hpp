// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// For check_invariants() of policies: walks a list and aborts where its links disagree.

#include "uffdmm/check.hpp"
#include "uffdmm/engine/page_table.hpp"

namespace uffdmm {

/// `belongs(entry)` must hold for every page of the list.
template <typename Belongs>
void check_list(const page_table& table, const page_list& list, Belongs&& belongs) noexcept {
    page_index before = no_page;
    page_count seen = 0;
    for (page_index page = list.front(); page != no_page; page = table[page].next()) {
        UFFDMM_CHECK(seen < list.size(), "a list is as long as it says, and has no cycle");
        UFFDMM_CHECK(table[page].prev() == before, "links of a list agree in both directions");
        UFFDMM_CHECK(belongs(table[page]), "a page is in the list its bits name");
        before = page;
        ++seen;
    }
    UFFDMM_CHECK(seen == list.size() && list.back() == before, "a list ends where it says");
}

} // namespace uffdmm
