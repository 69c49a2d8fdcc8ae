// SPDX-License-Identifier: BSD-3-Clause
#include "run/heirs.hpp"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <exception>
#include <vector>

#include <unistd.h>

#include "run/inside.hpp"
#include "run/program_file.hpp"
#include "run/tell.hpp"

namespace preload::heirs {
namespace {

/// What the program that takes the process's place gets, and what a child gets. Never destroyed.
struct inheritance {
    pid_t process;
    std::string library;
    std::vector<std::string> successor;
    std::vector<std::string> child;
};

std::atomic<inheritance*> left{nullptr}; ///< set once; readers are on any thread

bool is(const char* entry, const char* name) noexcept {
    const std::size_t length = std::strlen(name);
    return std::strncmp(entry, name, length) == 0 && entry[length] == '=';
}

bool is_ours(const char* entry) noexcept {
    return std::strncmp(entry, variable_prefix, std::strlen(variable_prefix)) == 0;
}

template <typename... Arguments>
bool print(char* text, const char* format, Arguments... arguments) noexcept {
    const int length = std::snprintf(text, environment::most_text, format, arguments...);
    return length >= 0 && static_cast<std::size_t>(length) < environment::most_text;
}

} // namespace

void prepare(const settings& asked, const std::string& library, const std::string& socket) {
    settings told = asked;
    if (!socket.empty())
        told.heir_of = socket;
    auto* const made = new inheritance{::getpid(), library, variables_of(told), {}};
    told.inherited = true;
    made->child = variables_of(told);
    left.store(made, std::memory_order_release); // pairs with any() and make()
}

void none_any_more() noexcept {
    left.store(nullptr, std::memory_order_relaxed);
}

bool any() noexcept {
    return left.load(std::memory_order_relaxed) != nullptr;
}

void warn_of(const char* name) noexcept {
    const inheritance* const all = left.load(std::memory_order_acquire); // pairs with prepare()
    if (all == nullptr || name == nullptr || ::getpid() != all->process)
        return;
    const inside_scope library;
    try {
        if (const std::string why = why_unmanaged(name); !why.empty())
            tell("%s: the program runs unmanaged from here on", why.c_str());
    } catch (const std::exception&) { // no memory to find out
    }
}

std::size_t environment::room(char* const* given) noexcept {
    std::size_t entries = 16; // what may be added, and the end
    while (given != nullptr && *given++ != nullptr)
        ++entries;
    return entries;
}

char* const* environment::make(char* const* given, char** list, bool child) noexcept {
    inheritance* const all = left.load(std::memory_order_acquire);
    if (all == nullptr)
        return given;
    const char* before = "";
    std::size_t count = 0;
    for (char* const* entry = given; entry != nullptr && *entry != nullptr; ++entry)
        if (is(*entry, preload_variable))
            before = *entry + std::strlen(preload_variable) + 1;
        else if (!is_ours(*entry))
            list[count++] = *entry;
    if (!print(preload_, "%s=%s%s%s", preload_variable, all->library.c_str(),
               before[0] != '\0' ? ":" : "", before) ||
        !print(before_, "%s=%s", before_variable, before))
        return given;
    list[count++] = preload_;
    list[count++] = before_;
    const bool in_place = !child && ::getpid() == all->process;
    for (std::string& variable : in_place ? all->successor : all->child)
        list[count++] = variable.data();
    list[count] = nullptr;
    return list;
}

} // namespace preload::heirs
