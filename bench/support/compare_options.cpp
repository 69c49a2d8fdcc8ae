// SPDX-License-Identifier: BSD-3-Clause
#include "support/compare_options.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace uffdmm::bench {
namespace {

[[noreturn]] void usage(const char* program) {
    std::fprintf(stderr,
                 "usage: %s [--filter=REGEX] [--rounds=N] [--json=FILE] [--directory=DIR]\n",
                 program);
    std::exit(2);
}

} // namespace

compare_options parse_options(int argc, char** argv) {
    compare_options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        const auto equals = argument.find('=');
        const std::string_view key = argument.substr(0, equals);
        const std::string value(equals == argument.npos ? "" : argument.substr(equals + 1));
        if (key == "--filter")
            options.filter = value;
        else if (key == "--rounds" && std::atoi(value.c_str()) > 0)
            options.rounds = static_cast<unsigned>(std::atoi(value.c_str()));
        else if (key == "--json" && !value.empty())
            options.json = value;
        else if (key == "--directory" && !value.empty())
            options.directory = value;
        else
            usage(argv[0]);
    }
    return options;
}

} // namespace uffdmm::bench
