// SPDX-License-Identifier: BSD-3-Clause
#include "config/refusal.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <numeric>
#include <vector>

#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

constexpr std::size_t longest_shown = 64;

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool is_identifier(std::string_view name) {
    return !name.empty() && name.size() <= longest_shown &&
           std::all_of(name.begin(), name.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-';
           });
}

/// Levenshtein distance.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0]++;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t change = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({change, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}

std::string suggestion(std::string_view name, std::span<const std::string_view> known) {
    const std::string_view meant = nearest(name, known);
    return meant.empty() ? std::string() : "; did you mean " + in_quotes(meant) + "?";
}

} // namespace

void refuse(std::string_view path, std::string_view value, std::string_view allowed) {
    throw setup_error(errc::invalid_config,
                      std::string(path) + ": " + std::string(value) +
                          " is not allowed; allowed: " + std::string(allowed));
}

void refuse_combination(std::string_view path, std::string_view why) {
    throw setup_error(errc::invalid_config, std::string(path) + ": " + std::string(why));
}

void refuse_name(std::string_view path, std::string_view name,
                 std::span<const std::string_view> known) {
    refuse(path, in_quotes(name), joined(known) + suggestion(name, known));
}

void refuse_key(std::string_view path, std::string_view key,
                std::span<const std::string_view> known) {
    refuse_combination(path_of(path, key), "there is no such key" + suggestion(key, known) +
                                               " (known keys: " + joined(known) + ")");
}

std::string_view nearest(std::string_view name, std::span<const std::string_view> known) {
    if (name.size() > longest_shown)
        return {};
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;
    for (const std::string_view candidate : known) {
        const std::size_t d = distance(name, candidate);
        if (d >= best_distance || d >= candidate.size())
            continue;
        best = candidate;
        best_distance = d;
    }
    return best;
}

std::string joined(std::span<const std::string_view> names) {
    std::string text;
    for (const std::string_view name : names)
        text.append(text.empty() ? "" : ", ").append(name);
    return text;
}

std::string in_quotes(std::string_view text) {
    std::string shown = "\"";
    for (const char c : text.substr(0, longest_shown)) {
        if (is_control(c)) {
            std::array<char, 8> escape{};
            std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned char>(c));
            shown += escape.data();
            continue;
        }
        if (c == '"' || c == '\\')
            shown += '\\';
        shown += c;
    }
    return shown + (text.size() > longest_shown ? "...\"" : "\"");
}

std::string path_of(std::string_view object, std::string_view key) {
    const std::string name = is_identifier(key) ? std::string(key) : in_quotes(key);
    return object.empty() ? name : std::string(object) + "." + name;
}

std::string path_of(std::string_view array, std::size_t index) {
    return std::string(array) + "[" + std::to_string(index) + "]";
}

} // namespace uffdmm
