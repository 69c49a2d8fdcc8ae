// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What uffdmm-run tells the preloaded library, through the environment. The variables are removed
/// before the program starts; heirs.hpp says who gets them then.

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
    bool migrate_locations = false; ///< of a QEMU: pages in a shared store go by where they are
    bool list = false;              ///< say what would be taken, and manage nothing

    /// Not the program that uffdmm-run started, but one that was started by it or its children.
    bool inherited = false;
    std::string heir_of; ///< identity of the control server whose socket is to be taken over

    bool optional = false; ///< run the program unmanaged where the library cannot start
};

/// Bytes of the smallest memory that can be taken.
[[nodiscard]] std::size_t smallest_taken(const settings& s) noexcept;

/// The variables that tell a program of them, "NAME=VALUE"; LD_PRELOAD excepted.
[[nodiscard]] std::vector<std::string> variables_of(const settings& s);
/// Puts them into the environment, and the library in front of the program's.
void to_environment(const settings& s, const std::string& library);

/// Whether the environment has any.
[[nodiscard]] bool in_environment();
/// Throws uffdmm::setup_error.
[[nodiscard]] settings from_environment();
/// The library that is in front of the program's.
[[nodiscard]] std::string library_in_environment();
void clear_environment();

/// What all variables' names begin with, and the one that has LD_PRELOAD as it was before.
inline constexpr const char* variable_prefix = "UFFDMM_RUN_";
inline constexpr const char* before_variable = "UFFDMM_RUN_LD_PRELOAD";
inline constexpr const char* preload_variable = "LD_PRELOAD";

} // namespace preload
