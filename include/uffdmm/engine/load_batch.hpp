// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Tier reads under way: up to 64 pages that are read together and installed together.
///
///              issue                 every op settled
///     free ─────────────► reading ─────────────────────► free
///                          ▲   │ a page somebody waits for failed
///                          │   ▼
///                         backing off (retry_at)

#include <array>
#include <cstdint>

#include "uffdmm/detail/growing_table.hpp"
#include "uffdmm/engine/installer.hpp"
#include "uffdmm/tier.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// One page being read. The page entry names the batch while it is `loading`.
struct load_op : load_request {
    enum class phase : std::uint8_t {
        reading,  ///< the tier has it
        arrived,  ///< the tier is done with it, for better or worse
        retrying, ///< failed, and somebody waits: will be read again
        settled   ///< installed, given up, or poisoned
    };
    static constexpr std::uint32_t of_a_peek = UINT32_MAX;

    page_index page;
    std::uint32_t batch = 0; ///< or of_a_peek: a migration's read, see peeker
    phase at = phase::settled;
    bool wanted = false;    ///< somebody waits for the page
    bool to_write = false;  ///< ... to write to it
    bool abandoned = false; ///< discarded meanwhile: only the slot is left to free
    std::uint64_t asked_ns = 0;
};

struct load_batch {
    tier_number tier = 0;
    page_count count = 0;
    page_count open = 0; ///< ops not settled
    std::byte* buffer = nullptr;
    bool ready = false;         ///< on the list of batches to look at
    std::uint64_t retry_at = 0; ///< 0: not backing off
    std::uint64_t backoff_ns = 0;
    std::uint64_t failing_since_ns = 0;
    load_batch* next = nullptr; ///< free list or ready list
    std::array<load_op, max_run> ops;

    [[nodiscard]] load_op& op_of(page_index page) {
        for (page_count i = 0; i < count; ++i)
            if (ops[i].page == page && ops[i].at != load_op::phase::settled && !ops[i].abandoned)
                return ops[i];
        UFFDMM_CHECK(false, "a loading page names its batch");
    }
};

/// Pool of batches, which grows as more are in use. Owner: the shard.
class load_batches {
  public:
    explicit load_batches(std::uint32_t most) : batches_(most) {}

    /// Of those that were ever in use.
    [[nodiscard]] byte_count memory_bytes() const { return batches_.memory_bytes(); }
    [[nodiscard]] std::size_t in_use() const { return in_use_; }
    [[nodiscard]] load_batch& operator[](std::uint32_t number) { return batches_[number]; }
    [[nodiscard]] std::uint32_t number_of(const load_batch& batch) const {
        return batches_.number_of(batch);
    }

    /// nullptr if all are in use.
    [[nodiscard]] load_batch* take() {
        if (free_ == nullptr && !add())
            return nullptr;
        load_batch* batch = free_;
        free_ = batch->next;
        batch->next = nullptr;
        ++in_use_;
        return batch;
    }
    void give_back(load_batch& batch) {
        batch.next = free_;
        free_ = &batch;
        --in_use_;
    }

    template <typename Visit>
    void for_each_in_use(Visit&& visit) {
        for (load_batch& batch : batches_)
            if (batch.open != 0)
                visit(batch);
    }

    template <typename Visit>
    void for_each_in_use(Visit&& visit) const {
        for (const load_batch& batch : batches_)
            if (batch.open != 0)
                visit(batch);
    }

  private:
    bool add() {
        if (!batches_.can_grow())
            return false;
        const std::uint32_t number = batches_.add();
        for (load_op& op : batches_[number].ops)
            op.batch = number;
        batches_[number].next = free_;
        free_ = &batches_[number];
        return true;
    }

    growing_table<load_batch> batches_;
    load_batch* free_ = nullptr;
    std::size_t in_use_ = 0;
};

} // namespace uffdmm
