// SPDX-License-Identifier: BSD-3-Clause
#include "config/key.hpp"

namespace uffdmm {
namespace {

constexpr std::size_t longest_shown = 64;

} // namespace

std::string shown(const json& value) {
    if (value.is_string())
        return in_quotes(value.get_ref<const std::string&>());
    if (value.is_object() || value.is_array())
        return value.is_object() ? "an object" : "an array";
    const std::string text = value.dump();
    return text.size() > longest_shown ? text.substr(0, longest_shown) + "..." : text;
}

std::optional<std::uint64_t> as_whole_number(const json& value) {
    if (value.is_number_unsigned())
        return value.get<std::uint64_t>();
    if (value.is_number_integer() && value.get<std::int64_t>() >= 0)
        return static_cast<std::uint64_t>(value.get<std::int64_t>());
    return std::nullopt;
}

std::string read_text(const json& value, const std::string& path, std::string_view allowed) {
    if (!value.is_string())
        refuse(path, shown(value), allowed);
    const auto& text = value.get_ref<const std::string&>();
    if (text.find('\0') != std::string::npos)
        refuse(path, in_quotes(text), allowed);
    return text;
}

std::string size_rule::allowed() const {
    std::string text;
    if (or_zero)
        text = "0 (" + std::string(zero_means) + ") or ";
    text += multiple > 1 ? "a multiple of " + std::to_string(multiple) + " bytes" : "a size";
    text += " from " + size_text(low);
    text += high == std::numeric_limits<byte_count>::max() ? " up" : " to " + size_text(high);
    return text + ", as a number of bytes or as a string such as \"256M\"";
}

} // namespace uffdmm
