// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What must hold between any two steps of a shard; checked by the model tests and the fuzzer.

#include "uffdmm/engine/shard.hpp"

namespace uffdmm {

template <kernel Kernel>
void shard<Kernel>::check_invariants() const {
    page_count resident = 0;
    page_count staged = 0;
    page_count storing = 0;
    page_count loading = 0;
    for (page_index page{0}; page.value < core_.pages(); page = page + 1) {
        const page_entry& entry = core_.table[page];
        const bool has_slot = entry.has(page_flag::has_slot);
        switch (entry.state()) {
        case page_state::untouched:
        case page_state::poisoned:
            UFFDMM_CHECK(!has_slot, "a page without contents has no slot");
            break;
        case page_state::resident:
            ++resident;
            UFFDMM_CHECK(has_slot == entry.has(page_flag::write_protected),
                         "a resident page is clean exactly while it is write-protected");
            break;
        case page_state::staged:
            ++(entry.has(page_flag::storing) ? storing : staged);
            break;
        case page_state::swapped:
            loading += entry.has(page_flag::loading) ? 1 : 0;
            UFFDMM_CHECK(has_slot, "a swapped page has a slot");
            break;
        }
        UFFDMM_CHECK(!entry.has(page_flag::loading) || entry.state() == page_state::swapped,
                     "only swapped pages are loading");
        UFFDMM_CHECK(!entry.has(page_flag::arriving) || entry.state() == page_state::untouched,
                     "only untouched pages are arriving");
        UFFDMM_CHECK(!entry.has(page_flag::storing) || entry.state() == page_state::staged,
                     "only staged pages are being stored");
    }
    UFFDMM_CHECK(resident == core_.counts.resident_pages.load(), "resident pages are counted");
    UFFDMM_CHECK(resident == core_.policy->size(), "the policy holds every resident page");
    UFFDMM_CHECK(staged == core_.frames.staged(), "staged frames belong to staged pages");
    UFFDMM_CHECK(storing <= core_.frames.storing(), "stored frames may have lost their page");
    const std::int64_t charged = core_.money.used();
    const auto owed = static_cast<std::int64_t>(
        bytes_of(resident + core_.frames.taken()) + bytes_of(reads_.charged_pages()) +
        core_.counts.metadata_bytes.load() + core_.counts.tier_memory_bytes.load());
    UFFDMM_CHECK(charged == owed, "the account agrees with what is in memory");
    UFFDMM_CHECK(reads_.reading() == reads_.charged_pages(), "pages being read are counted");
    UFFDMM_CHECK(loading <= reads_.charged_pages(), "every page being loaded is charged");
    core_.policy->check_invariants();
}

} // namespace uffdmm
