// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Pages installed for a fault a moment ago. The faulting thread needs time to wake up (up to 100
/// us on a virtual machine, FACTS: waking an idle CPU is what a fault costs most); a page that left
/// before it came would fault again, and with little memory for ever. So these are not evicted.

#include <array>
#include <cstdint>
#include <utility>

#include "uffdmm/engine/page_table.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Ring of the latest installations; each page in it carries page_flag::fresh. Owner: the shard.
class fresh_pages {
  public:
    static constexpr std::uint64_t lifetime_ns = 100'000;
    static constexpr unsigned most = 64;

    void add(page_table& table, page_index page, std::uint64_t now_ns) {
        if (size_ == most)
            forget_oldest(table);
        ring_[(first_ + size_++) % most] = {page, now_ns};
        table[page].set(page_flag::fresh);
    }
    /// Ends the protection of what was installed long enough ago.
    void expire(page_table& table, std::uint64_t now_ns) {
        while (size_ != 0 && now_ns - ring_[first_].since_ns >= lifetime_ns)
            forget_oldest(table);
    }
    /// A fresh page leaves all the same.
    void remove(page_table& table, page_index page) {
        table[page].clear(page_flag::fresh);
        for (item& i : ring_)
            if (i.page == page)
                i.page = no_page;
    }

  private:
    struct item {
        page_index page = no_page; ///< no_page: left meanwhile
        std::uint64_t since_ns = 0;
    };
    void forget_oldest(page_table& table) {
        if (const page_index page = std::exchange(ring_[first_].page, no_page); page != no_page)
            table[page].clear(page_flag::fresh);
        first_ = (first_ + 1) % most;
        --size_;
    }

    std::array<item, most> ring_{};
    unsigned first_ = 0;
    unsigned size_ = 0;
};

} // namespace uffdmm
