// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Sizes of the objects in a slab. A class's size divides the slab with nothing left over to speak
/// of: it is the largest that gives its number of objects. Neighbouring classes are 32 bytes apart
/// below 1 KiB, 64 up to 2 KiB, and as far as the next divisor above.

#include <array>
#include <cstddef>
#include <cstdint>

#include "uffdmm/types.hpp"

namespace uffdmm {

inline constexpr page_count slab_pages = 16;
inline constexpr std::uint32_t slab_bytes = slab_pages * page_size;

/// In front of every object: the number it was stored under.
inline constexpr std::uint32_t object_header_bytes = 4;

struct size_class {
    std::uint32_t bytes = 0;    ///< of one object, header included
    std::uint32_t per_slab = 0; ///< objects
};

class size_classes {
  public:
    static constexpr std::size_t most = 64;
    static constexpr std::uint32_t smallest = 64;
    static constexpr std::uint32_t largest_needed = page_size + object_header_bytes;

    constexpr size_classes() {
        for (std::uint32_t wanted = smallest; count_ < most;) {
            const std::uint32_t per_slab = slab_bytes / wanted;
            const std::uint32_t bytes = slab_bytes / per_slab & ~7u;
            classes_[count_++] = {bytes, per_slab};
            if (bytes >= largest_needed)
                break;
            wanted = bytes + (bytes < 1024 ? 32 : 64);
        }
        std::uint8_t number = 0;
        for (std::size_t unit = 0; unit < number_of_unit_.size(); ++unit) {
            while (classes_[number].bytes < unit * unit_bytes)
                ++number;
            number_of_unit_[unit] = number;
        }
    }

    [[nodiscard]] constexpr std::size_t count() const { return count_; }
    [[nodiscard]] constexpr const size_class& operator[](std::size_t number) const {
        return classes_[number];
    }
    /// The class for an object of `bytes`, header included.
    [[nodiscard]] constexpr std::uint8_t fitting(std::uint32_t bytes) const {
        return number_of_unit_[(bytes + unit_bytes - 1) / unit_bytes];
    }

  private:
    static constexpr std::uint32_t unit_bytes = 8;

    std::array<size_class, most> classes_{};
    std::array<std::uint8_t, largest_needed / unit_bytes + 2> number_of_unit_{};
    std::size_t count_ = 0;
};

inline constexpr size_classes all_size_classes;
static_assert(all_size_classes[all_size_classes.count() - 1].bytes >= size_classes::largest_needed);

} // namespace uffdmm
