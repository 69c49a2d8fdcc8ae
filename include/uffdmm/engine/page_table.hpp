// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The shadow page table of one shard: an array of page entries, and lists of pages threaded
/// through them. Memory is reserved at once and comes zeroed (all pages untouched), so an unused
/// entry costs no host memory until its OS page of entries is first written.

#include <cstddef>

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

    [[nodiscard]] page_entry& operator[](page_index page) {
        UFFDMM_DCHECK(page.value < pages_, "page inside the table");
        return entries()[page.value];
    }
    [[nodiscard]] const page_entry& operator[](page_index page) const {
        UFFDMM_DCHECK(page.value < pages_, "page inside the table");
        return entries()[page.value];
    }

  private:
    [[nodiscard]] page_entry* entries() const {
        return reinterpret_cast<page_entry*>(memory_.data());
    }

    mapping memory_;
    page_count pages_;
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
