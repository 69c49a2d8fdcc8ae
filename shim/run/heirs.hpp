// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Who runs under the library after the first program. uffdmm-run may be given a wrapper: a script,
/// numactl, timeout. So until a process has memory to manage, what it executes and what it starts
/// runs under the library, too; from then on it is the program that was meant, and what it starts
/// runs without.

#include <cstddef>
#include <string>

#include "run/settings.hpp"

namespace preload::heirs {

/// At the start of a process. `library`: the path of this one. `socket`: identity of its control
/// server, or "".
void prepare(const settings& asked, const std::string& library, const std::string& socket);

/// When memory is managed.
void none_any_more() noexcept;
[[nodiscard]] bool any() noexcept;

/// Says so where the program that takes this process's place cannot be managed. `name` as for
/// execvp.
void warn_of(const char* name) noexcept;

/// An environment for a program to be executed, with the caller's memory. Allocates nothing: the
/// caller may be a child of vfork.
class environment {
  public:
    static constexpr std::size_t most_text = 4096;

    /// Entries that the list needs for an environment.
    [[nodiscard]] static std::size_t room(char* const* given) noexcept;
    /// `given` and what tells of the library, in `list`; `given` itself where that is impossible.
    /// `child`: the program does not take this process's place.
    [[nodiscard]] char* const* make(char* const* given, char** list, bool child) noexcept;

  private:
    char preload_[most_text];
    char before_[most_text];
};

} // namespace preload::heirs
