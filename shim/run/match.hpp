// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Rules by which the user overrides what is taken: --match take|leave[,CONDITION]...

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace preload {

enum class memory_kind : std::uint8_t {
    anonymous, ///< private, mapped readable and writable
    reserved,  ///< private, reserved inaccessible and made accessible later
    shared,    ///< anonymous, MAP_SHARED
    memfd,
    file, ///< of a file system, tmpfs included
    block ///< of malloc
};
inline constexpr std::array<const char*, 6> memory_kind_names{"anonymous", "reserved", "shared",
                                                              "memfd",     "file",     "block"};
[[nodiscard]] inline const char* name_of(memory_kind kind) noexcept {
    return memory_kind_names[static_cast<std::size_t>(kind)];
}

/// Smaller memory is never taken.
inline constexpr std::size_t least_bytes = std::size_t{64} << 10;

struct match_rule {
    bool take = false;
    std::uint8_t kinds = 0xff; ///< a bit each
    std::string name;          ///< pattern with * and ?; "": any
    std::size_t least = 0;     ///< bytes
    std::size_t most = ~std::size_t{0};
    std::string text;   ///< as it was given
    std::string reason; ///< the same, to be told

    /// `memory`: a memfd's name, or a path; "" for memory without one. Allocates nothing.
    [[nodiscard]] bool fits(memory_kind kind, const char* memory, std::size_t bytes) const noexcept;
};

/// Throws uffdmm::setup_error naming `option` and what is allowed.
[[nodiscard]] match_rule parse_rule(std::string_view option, std::string_view text);

/// The first that fits; nullptr: none does. Allocates nothing.
[[nodiscard]] const match_rule* first_fit(const std::vector<match_rule>& rules, memory_kind kind,
                                          const char* memory, std::size_t bytes) noexcept;

} // namespace preload
