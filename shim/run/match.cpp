// SPDX-License-Identifier: BSD-3-Clause
#include "run/match.hpp"

#include "uffdmm/config.hpp"
#include "uffdmm/result.hpp"

namespace preload {
namespace {

constexpr std::string_view rule_form =
    "take or leave, then any of ,kind=KIND[|KIND]... ,name=PATTERN ,size=SIZE or MIN..MAX";

[[noreturn]] void refuse(std::string_view option, std::string_view value,
                         std::string_view allowed) {
    std::string message(option);
    message.append(": \"").append(value).append("\" is not allowed; allowed: ").append(allowed);
    throw uffdmm::setup_error(uffdmm::errc::invalid_argument, message);
}

/// Cuts the text at the first `separator`: gives what is before it.
std::string_view next_word(std::string_view& text, char separator) {
    const std::size_t end = text.find(separator);
    const std::string_view word = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    return word;
}

std::string all_kinds() {
    std::string names;
    for (const char* name : memory_kind_names)
        names.append(names.empty() ? "" : ", ").append(name);
    return names;
}

std::uint8_t parse_kinds(std::string_view option, std::string_view text) {
    unsigned kinds = 0;
    std::string_view rest = text;
    do {
        const std::string_view word = next_word(rest, '|');
        std::size_t kind = 0;
        while (kind < memory_kind_names.size() && word != memory_kind_names[kind])
            ++kind;
        if (kind == memory_kind_names.size())
            refuse(option, text, "kind= " + all_kinds() + ", joined by |");
        kinds |= 1U << kind;
    } while (!rest.empty());
    return static_cast<std::uint8_t>(kinds);
}

void parse_sizes(match_rule& rule, std::string_view option, std::string_view text) {
    const std::size_t dots = text.find("..");
    const std::string_view from = text.substr(0, dots);
    const std::string_view to = dots == std::string_view::npos ? from : text.substr(dots + 2);
    if (from.empty() && to.empty())
        refuse(option, text, "size=SIZE, MIN..MAX, MIN.. or ..MAX, with sizes like 64M");
    if (!from.empty())
        rule.least = uffdmm::parse_size(from, option);
    if (!to.empty())
        rule.most = uffdmm::parse_size(to, option);
    if (rule.least > rule.most)
        refuse(option, text, "a smallest size that is not above the largest");
    if (rule.take && !from.empty() && rule.least < least_bytes)
        refuse(option, text, "sizes from 64K on");
}

void parse_condition(match_rule& rule, std::string_view option, std::string_view text) {
    if (text.starts_with("kind="))
        rule.kinds = parse_kinds(option, text.substr(5));
    else if (text.starts_with("name=") && text.size() > 5)
        rule.name = text.substr(5);
    else if (text.starts_with("size="))
        parse_sizes(rule, option, text.substr(5));
    else
        refuse(option, text, rule_form);
}

/// `pattern` with * and ? against all of `text`.
bool like(const char* pattern, const char* text) noexcept {
    const char* star = nullptr; // the last one, and where what it stands for ends
    const char* resume = nullptr;
    while (*text != '\0')
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == '?' || *pattern == *text) {
            ++pattern;
            ++text;
        } else if (star != nullptr) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    while (*pattern == '*')
        ++pattern;
    return *pattern == '\0';
}

} // namespace

bool match_rule::fits(memory_kind kind, const char* memory, std::size_t bytes) const noexcept {
    return (kinds >> static_cast<unsigned>(kind) & 1U) != 0 && bytes >= least && bytes <= most &&
           (name.empty() || like(name.c_str(), memory));
}

match_rule parse_rule(std::string_view option, std::string_view text) {
    match_rule rule;
    rule.text = text;
    rule.reason.append(option).append(" ").append(text);
    std::string_view rest = text;
    const std::string_view what = next_word(rest, ',');
    if ((what != "take" && what != "leave") || text.ends_with(','))
        refuse(option, text, rule_form);
    rule.take = what == "take";
    while (!rest.empty())
        parse_condition(rule, option, next_word(rest, ','));
    return rule;
}

const match_rule* first_fit(const std::vector<match_rule>& rules, memory_kind kind,
                            const char* memory, std::size_t bytes) noexcept {
    for (const match_rule& rule : rules)
        if (rule.fits(kind, memory, bytes))
            return &rule;
    return nullptr;
}

} // namespace preload
