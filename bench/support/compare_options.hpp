// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Case selection of the comparing programs, like Google Benchmark's: a regular expression.

#include <regex>
#include <string>

namespace uffdmm::bench {

/// --filter=REGEX --rounds=N --json=FILE --directory=DIR
struct compare_options {
    std::regex filter{""};
    unsigned rounds = 40;
    std::string json;
    std::string directory = "/var/tmp"; ///< for file tiers

    [[nodiscard]] bool selects(const std::string& name) const {
        return std::regex_search(name, filter);
    }
};

/// Ends the program with a message if an argument is not understood.
[[nodiscard]] compare_options parse_options(int argc, char** argv);

} // namespace uffdmm::bench
