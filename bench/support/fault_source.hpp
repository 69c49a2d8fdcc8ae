// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Something whose page faults are timed from the faulting thread: the bare handler, or the
/// library. All calls come from one thread, pinned to the placement's faulting CPU.

#include <array>
#include <cstddef>
#include <cstdint>

#include "support/clock.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm::bench {

/// The ioctl that ends the fault.
enum class operation : std::uint8_t { zeropage, copy, move, unprotect };
inline constexpr std::array operations{operation::zeropage, operation::copy, operation::move,
                                       operation::unprotect};
[[nodiscard]] const char* to_string(operation what);

class fault_source {
  public:
    /// Faults between two calls of prepare().
    static constexpr unsigned batch = 64;
    /// Pages are touched this far apart, so that none is the neighbour of the last.
    static constexpr unsigned stride = 5;
    static constexpr page_count pages = batch * stride;
    static constexpr byte_count bytes = bytes_of(pages);

    virtual ~fault_source() = default;
    /// Makes the `batch` pages fault, each once. The answering thread is ready afterwards.
    virtual void prepare() = 0;
    /// The answering thread leaves its CPU to others.
    virtual void pause() = 0;

    /// Time of one fault, on page `index` of the batch.
    std::uint64_t touch(unsigned index) {
        let_pass(settle_ns);
        auto* const word = reinterpret_cast<volatile std::uint64_t*>(
            memory_ + std::size_t{index} * stride * page_size);
        const std::uint64_t start = now_ns();
        if (writes_)
            *word = index + 1;
        else
            (void)*word;
        return now_ns() - start;
    }

  protected:
    /// Time between two faults: a thread that has answered one gets to sleep.
    static constexpr std::uint64_t settle_ns = 40'000;

    std::byte* memory_ = nullptr;
    bool writes_ = false;
};

} // namespace uffdmm::bench
