// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The command line of uffdmm-run.

#include <string>
#include <vector>

#include "run/settings.hpp"

namespace preload {

struct command_line {
    settings asked;
    std::vector<std::string> program; ///< and its arguments
    bool help = false;
    std::string ask_socket; ///< "": a program is to be run
    std::string ask_words;
};

/// Throws uffdmm::setup_error naming the option and what is allowed.
[[nodiscard]] command_line parse_command_line(const std::vector<std::string>& arguments);
[[nodiscard]] std::string help_text();

} // namespace preload
