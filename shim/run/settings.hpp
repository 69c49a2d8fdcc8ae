// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What uffdmm-run tells the preloaded library, through the environment. The variables are removed
/// before the program starts: programs that it starts in turn run without the library.

#include <cstddef>
#include <string>
#include <vector>

#include "run/match.hpp"
#include "uffdmm/config.hpp"

namespace preload {

struct settings {
    uffdmm::config config; ///< one region: what the areas are like; its size is that of an area
    std::size_t threshold = std::size_t{32} << 20; ///< smaller mappings are left alone,
                                                   ///< unless a rule takes them by their size
    std::string stats_file;                        ///< "": none
    std::vector<match_rule> rules;                 ///< the first that fits decides
    std::string control_socket;                    ///< "": none
    bool verbose = false;
    bool list = false; ///< say what would be taken, and manage nothing

    bool optional = false; ///< run the program unmanaged where the library cannot start
};

/// Bytes of the smallest memory that can be taken.
[[nodiscard]] std::size_t smallest_taken(const settings& s) noexcept;

/// Puts them into the environment, and the library in front of the program's.
void to_environment(const settings& s, const std::string& library);

/// Whether the environment has any.
[[nodiscard]] bool in_environment();
/// Throws uffdmm::setup_error.
[[nodiscard]] settings from_environment();
void clear_environment();

} // namespace preload
