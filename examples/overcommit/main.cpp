// SPDX-License-Identifier: BSD-3-Clause
/// overcommit: runs a workload in memory that libuffdmm keeps inside a budget, and checks every
/// byte of it. See --help.

#include <cstdio>
#include <exception>
#include <string_view>
#include <vector>

#include "overcommit/options.hpp"
#include "overcommit/report.hpp"
#include "overcommit/session.hpp"
#include "uffdmm/result.hpp"

namespace {

int run(const overcommit::options& asked) {
    const overcommit::report found = overcommit::run_session(asked);
    if (!asked.quiet)
        std::fputs((asked.json ? overcommit::to_json(found) : overcommit::to_text(found)).c_str(),
                   stdout);
    if (!found.good())
        std::fputs("overcommit: FAILED\n", stderr);
    return found.good() ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) try {
    const std::vector<std::string_view> arguments(argv + 1, argv + argc);
    const overcommit::options asked = overcommit::parse_options(arguments);
    if (asked.help) {
        std::fputs(overcommit::usage().c_str(), stdout);
        return 0;
    }
    return run(asked);
} catch (const uffdmm::setup_error& e) {
    std::fprintf(stderr, "overcommit: %s\nTry --help.\n", overcommit::by_option(e.what()).c_str());
    return 2;
} catch (const std::exception& e) {
    std::fprintf(stderr, "overcommit: %s\n", e.what());
    return 2;
}
