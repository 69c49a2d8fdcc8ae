// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What all threads of a run share: the memory, what it must hold, and what went wrong.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "overcommit/options.hpp"
#include "overcommit/page_contents.hpp"
#include "overcommit/page_ledger.hpp"
#include "uffdmm/manager.hpp"

namespace overcommit {

/// Tells the first few faults of the engine on stderr, and counts the rest. Any thread.
class complaints {
  public:
    explicit complaints(uffdmm::region& region) : region_(region) {}

    void corrupt(std::uint64_t page, page_record expected, page_verdict verdict);
    void failed(const char* call, const uffdmm::error& error);

    /// Calls of the library that must work but failed.
    [[nodiscard]] std::uint64_t failed_calls() const noexcept { return failed_calls_.load(); }

  private:
    static constexpr std::uint64_t most_told = 20;
    uffdmm::region& region_;
    std::atomic<std::uint64_t> corrupt_{0};
    std::atomic<std::uint64_t> failed_calls_{0};
};

struct workload {
    workload(const options& o, uffdmm::region& r, page_ledger& l)
        : asked(o), region(r), memory(r.data()), ledger(l), contents(o.fill), wrong(r) {}

    [[nodiscard]] std::byte* page(std::uint64_t index) const noexcept {
        return memory + index * uffdmm::page_size;
    }

    const options& asked;
    uffdmm::region& region;
    std::byte* memory;
    page_ledger& ledger;
    page_contents contents;
    complaints wrong;
    std::atomic<bool> stop{false}; ///< ends the run early
};

} // namespace overcommit
