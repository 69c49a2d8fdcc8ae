// SPDX-License-Identifier: BSD-3-Clause

/// uffdmm-run: starts a program with its large private mappings under the library.

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <unistd.h>

#include "run/ask.hpp"
#include "run/installed.hpp"
#include "run/options.hpp"
#include "run/program_file.hpp"
#include "run/settings.hpp"
#include "uffdmm/result.hpp"

namespace {

constexpr int bad_usage = 2;
constexpr int cannot_start = 125;
constexpr int not_found = 127;
constexpr int not_executable = 126;

/// Whether the program is to be started. Nothing else would say that it is not managed.
bool can_be_managed(const preload::command_line& line) {
    const std::string why = preload::why_unmanaged(line.program.front());
    if (why.empty())
        return true;
    const bool goes_on = line.asked.optional || line.asked.list;
    std::fprintf(stderr, "uffdmm-run: %s, so that no library can be put in front of its own%s\n",
                 why.c_str(), goes_on ? "; the program runs unmanaged" : "");
    return goes_on;
}

[[noreturn]] void execute(std::vector<std::string>& program) {
    std::vector<char*> words;
    for (std::string& word : program)
        words.push_back(word.data());
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    const int error = errno;
    std::fprintf(stderr, "uffdmm-run: %s: %s\n", words[0], std::strerror(error));
    ::_exit(error == ENOENT ? not_found : not_executable);
}

} // namespace

int main(int count, char** arguments) {
    try {
        preload::command_line line =
            preload::parse_command_line({arguments + 1, arguments + count});
        if (line.help) {
            std::fputs(preload::help_text().c_str(), stdout);
            return 0;
        }
        if (!line.ask_socket.empty())
            return preload::ask(line.ask_socket, line.ask_words);
        if (!can_be_managed(line))
            return cannot_start;
        preload::to_environment(line.asked, preload::preload_library());
        execute(line.program);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "uffdmm-run: %s\n", e.what());
        return bad_usage;
    }
}
