// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The shadow page table of one shard: an array of page entries, and lists of pages threaded
/// through them. Memory is reserved at once and comes zeroed (all pages untouched), so an unused
/// entry costs no host memory until its OS page of entries is first written.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "uffdmm/check.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/engine/page_entry.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Owner: the shard. Thread: the shard's.
class page_table {
  public:
    explicit page_table(page_count pages)
        : memory_(mapping::anonymous(std::size_t{pages} * sizeof(page_entry))), pages_(pages) {}

    [[nodiscard]] page_count size() const { return pages_; }
    [[nodiscard]] byte_count memory_bytes() const { return memory_.size(); }

    [[nodiscard]] page_entry& operator[](page_index page) { return entry(page); }
    [[nodiscard]] const page_entry& operator[](page_index page) const { return entry(page); }

    /// Every entry is `arriving` from now on, without a frame. Entries learn it when their window
    /// is first looked at, so that it takes no longer for a large table than for a small one. None
    /// may have been anything but untouched since the table was made.
    void all_arrive() {
        learned_.assign((windows() + 63) / 64, 0);
        to_learn_ = windows();
    }

  private:
    static constexpr page_count window = 64;

    [[nodiscard]] page_count windows() const { return (pages_ + window - 1) / window; }

    [[nodiscard]] page_entry& entry(page_index page) const {
        UFFDMM_DCHECK(page.value < pages_, "page inside the table");
        if (to_learn_ != 0) [[unlikely]]
            learn(page.value / window);
        return entries()[page.value];
    }
    void learn(page_count number) const {
        const std::uint64_t bit = std::uint64_t{1} << (number % 64);
        if ((learned_[number / 64] & bit) != 0)
            return;
        learned_[number / 64] |= bit;
        --to_learn_;
        const page_count first = number * window;
        for (page_count i = first; i < pages_ && i < first + window; ++i)
            entries()[i].expect_contents();
    }
    [[nodiscard]] page_entry* entries() const {
        return reinterpret_cast<page_entry*>(memory_.data());
    }

    mapping memory_;
    page_count pages_;
    /// Windows that know, a bit each; how many do not, 0 as a rule.
    mutable std::vector<std::uint64_t> learned_;
    mutable page_count to_learn_ = 0;
};

/// Doubly linked list of resident pages, threaded through the page table. A page is in at most one
/// list. The list does not own the table it is passed.
class page_list {
  public:
    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] page_count size() const { return size_; }
    [[nodiscard]] page_index front() const { return head_; }
    [[nodiscard]] page_index back() const { return tail_; }

    void push_front(page_table& table, page_index page) {
        page_entry& entry = table[page];
        entry.set_prev(no_page);
        entry.set_next(head_);
        if (head_ == no_page)
            tail_ = page;
        else
            table[head_].set_prev(page);
        head_ = page;
        ++size_;
    }

    void erase(page_table& table, page_index page) {
        page_entry& entry = table[page];
        const page_index prev = entry.prev();
        const page_index next = entry.next();
        if (prev == no_page)
            head_ = next;
        else
            table[prev].set_next(next);
        if (next == no_page)
            tail_ = prev;
        else
            table[next].set_prev(prev);
        --size_;
    }

    page_index pop_back(page_table& table) {
        const page_index page = tail_;
        if (page != no_page)
            erase(table, page);
        return page;
    }

  private:
    page_index head_ = no_page;
    page_index tail_ = no_page;
    page_count size_ = 0;
};

} // namespace uffdmm
