// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Structs that begin with their size, so that programs and libraries of different versions
/// understand each other: the smaller one is a prefix of the larger one.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <type_traits>

#include "errors.hpp"

namespace uffdmm::shim {

/// No struct of any version is larger: a larger size is rubbish, and reading that far could fault.
inline constexpr std::size_t largest_struct = 4096;

/// Throws unless a struct of this library's T, older or newer, can have that size.
template <typename T>
void check_struct_size(std::size_t size, const std::string& name) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= largest_struct);
    if (size < sizeof(std::size_t) || size % alignof(T) != 0)
        refuse(name + ".struct_size: " + std::to_string(size) + " is no size of this struct; " +
               "allowed: sizeof of the struct, " + std::to_string(sizeof(T)) +
               " in this version of the library");
    if (size > largest_struct)
        throw too_new(name + ".struct_size: " + std::to_string(size) +
                      " is too large; allowed: at most " + std::to_string(largest_struct));
}

/// The first member of every such struct.
[[nodiscard]] inline std::size_t struct_size_of(const void* given) {
    std::size_t size;
    std::memcpy(&size, given, sizeof size);
    return size;
}

/// Whether a newer program set something this library has no member for.
template <typename T>
[[nodiscard]] bool has_unknown_tail(const T* given) {
    const std::size_t size = struct_size_of(given);
    const auto* bytes = reinterpret_cast<const unsigned char*>(given);
    return size > sizeof(T) && std::any_of(bytes + sizeof(T), bytes + size,
                                           [](unsigned char byte) { return byte != 0; });
}

/// What both sides know of *given, over `defaults`. Throws on an impossible size only.
template <typename T>
[[nodiscard]] T read_known(const T* given, const T& defaults, const std::string& name) {
    const std::size_t size = struct_size_of(given);
    check_struct_size<T>(size, name);
    T known = defaults;
    std::memcpy(static_cast<void*>(&known), given, std::min(size, sizeof(T)));
    known.struct_size = sizeof(T);
    return known;
}

template <typename T>
void refuse_unknown_tail(const T* given, const std::string& name) {
    if (has_unknown_tail(given))
        throw too_new(name + " has an option beyond its first " + std::to_string(sizeof(T)) +
                      " bytes that this version of the library does not know; allowed: zeros");
}

/// Writes as much of `value` as *out has room for, zeros beyond what this library knows.
template <typename T>
void write_struct(T value, std::size_t size, T* out, const std::string& name) {
    check_struct_size<T>(size, name);
    value.struct_size = size;
    const std::size_t known = std::min(size, sizeof(T));
    std::memcpy(static_cast<void*>(out), &value, known);
    std::memset(reinterpret_cast<unsigned char*>(out) + known, 0, size - known);
}

} // namespace uffdmm::shim
