// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// How often each page is pinned. Exists only from the first pin on: 2 bytes per page then.

#include <cstdint>

#include "uffdmm/check.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Owner: the shard.
class pin_table {
  public:
    explicit pin_table(page_count pages) : pages_(pages) {}

    [[nodiscard]] bool in_use() const { return counts_.data() != nullptr; }
    [[nodiscard]] byte_count memory_bytes() const { return counts_.size(); }
    [[nodiscard]] std::uint16_t count(page_index page) const {
        return in_use() ? table()[page.value] : std::uint16_t{0};
    }
    [[nodiscard]] static constexpr std::uint16_t most() { return UINT16_MAX; }

    /// Set-up of the first pin; throws setup_error.
    void prepare() {
        if (!in_use())
            counts_ = mapping::anonymous(std::size_t{pages_} * sizeof(std::uint16_t));
    }
    /// Returns whether this was the first pin of the page.
    bool add(page_index page) { return table()[page.value]++ == 0; }
    /// Returns whether this was the last pin of the page.
    bool remove(page_index page) {
        UFFDMM_CHECK(count(page) != 0, "a page unpinned was pinned");
        return --table()[page.value] == 0;
    }

  private:
    [[nodiscard]] std::uint16_t* table() const {
        return reinterpret_cast<std::uint16_t*>(counts_.data());
    }

    page_count pages_;
    mapping counts_;
};

} // namespace uffdmm
