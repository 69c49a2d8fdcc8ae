// SPDX-License-Identifier: BSD-3-Clause

/// The intercepted calls that execute programs: as long as nothing is managed, they run under the
/// library, too.

#include <cstdarg>

#include <alloca.h>
#include <spawn.h>
#include <unistd.h>

#include "run/heirs.hpp"
#include "run/inside.hpp"
#include "run/next_io.hpp"

namespace {

using namespace preload;

/// `call` with the environment that the program is to have.
template <typename Call>
int execute(char* const* given, bool child, Call call) noexcept {
    if (inside || !heirs::any())
        return call(given);
    heirs::environment made;
    auto** const list =
        static_cast<char**>(alloca(heirs::environment::room(given) * sizeof(char*)));
    return call(made.make(given, list, child));
}

int execute_path(const char* path, char* const* words, char* const* given) noexcept {
    heirs::warn_of(path);
    return execute(given, false, [&](char* const* environment) {
        return next_io().execve(path, words, environment);
    });
}

int execute_found(const char* file, char* const* words, char* const* given) noexcept {
    heirs::warn_of(file);
    return execute(given, false, [&](char* const* environment) {
        return next_io().execvpe(file, words, environment);
    });
}

/// Words of a call like execl.
std::size_t count_words(const char* first, va_list others) noexcept {
    std::size_t count = first == nullptr ? 0 : 1;
    while (count != 0 && va_arg(others, char*) != nullptr)
        ++count;
    return count;
}

} // namespace

#define INTERCEPTED extern "C" __attribute__((visibility("default")))

/// `list` becomes the words of a call like execl, and `rest` what is behind them.
#define WORDS_OF(first, list, rest)                                                                \
    va_list rest;                                                                                  \
    va_start(rest, first);                                                                         \
    auto** const list =                                                                            \
        static_cast<char**>(alloca((count_words(first, rest) + 1) * sizeof(char*)));               \
    va_end(rest);                                                                                  \
    va_start(rest, first);                                                                         \
    (list)[0] = const_cast<char*>(first);                                                          \
    for (std::size_t i = 0; (list)[i] != nullptr; ++i)                                             \
    (list)[i + 1] = va_arg(rest, char*)

INTERCEPTED int execve(const char* path, char* const* words, char* const* given) noexcept {
    return execute_path(path, words, given);
}
INTERCEPTED int execv(const char* path, char* const* words) noexcept {
    return execute_path(path, words, environ);
}
INTERCEPTED int execvp(const char* file, char* const* words) noexcept {
    return execute_found(file, words, environ);
}
INTERCEPTED int execvpe(const char* file, char* const* words, char* const* given) noexcept {
    return execute_found(file, words, given);
}
INTERCEPTED int execl(const char* path, const char* first, ...) noexcept {
    WORDS_OF(first, list, rest);
    va_end(rest);
    return execute_path(path, list, environ);
}
INTERCEPTED int execlp(const char* file, const char* first, ...) noexcept {
    WORDS_OF(first, list, rest);
    va_end(rest);
    return execute_found(file, list, environ);
}
INTERCEPTED int execle(const char* path, const char* first, ...) noexcept {
    WORDS_OF(first, list, rest);
    char* const* const given = va_arg(rest, char* const*);
    va_end(rest);
    return execute_path(path, list, given);
}
INTERCEPTED int fexecve(int fd, char* const* words, char* const* given) noexcept {
    return execute(given, false, [&](char* const* environment) {
        return next_io().fexecve(fd, words, environment);
    });
}
INTERCEPTED int execveat(int directory, const char* path, char* const* words, char* const* given,
                         int flags) noexcept {
    return execute(given, false, [&](char* const* environment) {
        return next_io().execveat(directory, path, words, environment, flags);
    });
}
INTERCEPTED int posix_spawn(pid_t* child, const char* path,
                            const posix_spawn_file_actions_t* actions, const posix_spawnattr_t* how,
                            char* const* words, char* const* given) noexcept {
    return execute(given, true, [&](char* const* environment) {
        return next_io().posix_spawn(child, path, actions, how, words, environment);
    });
}
INTERCEPTED int posix_spawnp(pid_t* child, const char* file,
                             const posix_spawn_file_actions_t* actions,
                             const posix_spawnattr_t* how, char* const* words,
                             char* const* given) noexcept {
    return execute(given, true, [&](char* const* environment) {
        return next_io().posix_spawnp(child, file, actions, how, words, environment);
    });
}
