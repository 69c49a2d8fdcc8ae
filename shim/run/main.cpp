// SPDX-License-Identifier: BSD-3-Clause

/// uffdmm-run: starts a program with its large private mappings under the library.

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <unistd.h>

#include "run/ask.hpp"
#include "run/options.hpp"
#include "run/settings.hpp"
#include "uffdmm/result.hpp"

namespace {

constexpr int bad_usage = 2;
constexpr int not_found = 127;
constexpr int not_executable = 126;

/// Beside this program.
std::string preload_library() {
    const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    return (here / "libuffdmm-preload.so").string();
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
        preload::to_environment(line.asked, preload_library());
        execute(line.program);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "uffdmm-run: %s\n", e.what());
        return bad_usage;
    }
}
