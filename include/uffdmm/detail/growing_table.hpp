// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// An array that grows in place up to a fixed number of elements. Only addresses are reserved:
/// memory is taken as elements are added, and kept. Growing neither moves nor allocates anything.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>

#include "uffdmm/check.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

template <typename T>
class growing_table {
  public:
    /// Throws setup_error (no_memory).
    explicit growing_table(std::uint32_t most)
        : memory_(mapping::on_demand(std::size_t{most} * sizeof(T))), most_(most) {}
    growing_table(const growing_table&) = delete;
    growing_table& operator=(const growing_table&) = delete;
    ~growing_table() {
        if constexpr (!std::is_trivially_destructible_v<T>)
            std::destroy_n(elements(), size_);
    }

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
        return elements()[number];
    }
    [[nodiscard]] const T& operator[](std::uint32_t number) const noexcept {
        UFFDMM_DCHECK(number < size_, "an element of the table");
        return elements()[number];
    }
    [[nodiscard]] std::uint32_t number_of(const T& element) const noexcept {
        return static_cast<std::uint32_t>(&element - elements());
    }
    [[nodiscard]] T* begin() noexcept { return elements(); }
    [[nodiscard]] T* end() noexcept { return elements() + size_; }
    [[nodiscard]] const T* begin() const noexcept { return elements(); }
    [[nodiscard]] const T* end() const noexcept { return elements() + size_; }
    /// Resident memory.
    [[nodiscard]] byte_count memory_bytes() const noexcept {
        return (std::uint64_t{size_} * sizeof(T) + page_size - 1) & ~std::uint64_t{page_size - 1};
    }

  private:
    [[nodiscard]] T* elements() const noexcept {
        return std::launder(reinterpret_cast<T*>(memory_.data()));
    }

    mapping memory_;
    std::uint32_t most_;
    std::uint32_t size_ = 0;
};

} // namespace uffdmm
