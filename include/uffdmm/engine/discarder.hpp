// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Forgets pages whose contents the guest declared dead. Only the bookkeeping: whoever calls has
/// taken, or is taking, the pages out of the guest.

#include "uffdmm/engine/shard_core.hpp"
#include "uffdmm/engine/swap_in.hpp"

namespace uffdmm {

template <kernel Kernel>
class discarder {
  public:
    discarder(shard_core<Kernel>& core, swap_in<Kernel>& reads) : core_(core), reads_(reads) {}

    /// The pages are about to be discarded, or have just been: the huge pages that they are a part
    /// of become single pages. The kernel frees a huge page as a whole only (partial_huge_page).
    void split_around(page_run run) {
        if (core_.traits.huge_page == 0 || run.count == 0)
            return;
        const page_run first = core_.huge.around(run.first);
        const page_run last = core_.huge.around({run.end().value - 1});
        const page_run before{first.first, run.first - first.first};
        const page_run behind{run.end(), last.end() - run.end()};
        if (!split(before) || last != first)
            (void)split(behind);
    }

    void forget(page_run run) {
        for (page_index page = run.first; page < run.end(); page = page + 1)
            forget(page);
    }

    void forget(page_index page) {
        core_.watch.changes(page);
        page_entry& entry = core_.table[page];
        switch (entry.state()) {
        case page_state::untouched:
            entry.clear(page_flag::arriving); // what arrives is dead, too
            return;
        case page_state::resident:
            core_.leaves_residence(page);
            core_.uncharge(1);
            break;
        case page_state::staged:
            // A frame that is being stored becomes dead when the store ends, as nobody names it.
            if (!entry.has(page_flag::storing))
                core_.frames.kill(entry.frame());
            entry.clear(page_flag::storing);
            break;
        case page_state::swapped:
            if (entry.has(page_flag::loading))
                reads_.abandon(page);
            entry.clear(page_flag::demoting);
            break;
        case page_state::poisoned:
            --core_.counts.poisoned_pages;
            break;
        }
        core_.forget_slot(entry);
        entry.apply(page_op::discard);
        entry.clear(page_flag::write_prone);
        entry.clear(page_flag::evicted_before);
        ++core_.counts.discarded_pages;
    }

  private:
    /// Pages of a block that stay. Returns whether there were any.
    bool split(page_run rest) {
        if (rest.count == 0 || !core_.os.split_huge(rest.first, rest.count))
            return false;
        core_.huge.has_single(rest.first);
        return true;
    }

    shard_core<Kernel>& core_;
    swap_in<Kernel>& reads_;
};

} // namespace uffdmm
