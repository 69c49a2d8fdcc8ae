// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// An array that grows in place up to a fixed number of elements. Only addresses are reserved:
/// memory is taken as elements are added, and kept. Growing neither moves nor allocates anything.

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

#include "uffdmm/check.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

template <typename T>
class growing_table {
    static_assert(std::is_trivially_destructible_v<T>);

  public:
    /// Throws setup_error (no_memory).
    explicit growing_table(std::uint32_t most)
        : memory_(mapping::anonymous(std::size_t{most} * sizeof(T))), most_(most) {}

    [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
    [[nodiscard]] bool can_grow() const noexcept { return size_ < most_; }
    /// Number of the new element.
    std::uint32_t add() noexcept {
        UFFDMM_DCHECK(can_grow(), "a table does not outgrow its addresses");
        ::new (memory_.data() + std::size_t{size_} * sizeof(T)) T;
        return size_++;
    }
    [[nodiscard]] T& operator[](std::uint32_t number) noexcept {
        UFFDMM_DCHECK(number < size_, "an element of the table");
        return *std::launder(reinterpret_cast<T*>(memory_.data()) + number);
    }
    [[nodiscard]] const T& operator[](std::uint32_t number) const noexcept {
        UFFDMM_DCHECK(number < size_, "an element of the table");
        return *std::launder(reinterpret_cast<const T*>(memory_.data()) + number);
    }
    /// Resident memory.
    [[nodiscard]] byte_count memory_bytes() const noexcept {
        return (std::uint64_t{size_} * sizeof(T) + page_size - 1) & ~std::uint64_t{page_size - 1};
    }

  private:
    mapping memory_;
    std::uint32_t most_;
    std::uint32_t size_ = 0;
};

} // namespace uffdmm
