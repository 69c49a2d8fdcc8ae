// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The kinds of configuration key. A key ties a name to a member of a configuration struct and
/// knows what is allowed; it reads the member from JSON, writes it to JSON and checks it:
///
///     void read(const json& value, const std::string& path, Object& out) const;  // throws
///     void check(const Object& object, const std::string& path) const;           // throws
///     json write(const Object& object) const;

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "config/refusal.hpp"
#include "config/units.hpp"
#include "uffdmm/config.hpp"

namespace uffdmm {

using json = nlohmann::ordered_json; ///< keeps the order of keys

/// A value as shown in messages, cut where it is long.
[[nodiscard]] std::string shown(const json& value);
/// A whole number that is not negative, or nothing.
[[nodiscard]] std::optional<std::uint64_t> as_whole_number(const json& value);
/// Throws unless `value` is a string without NUL characters.
[[nodiscard]] std::string read_text(const json& value, const std::string& path,
                                    std::string_view allowed);

/// A whole number in [low, high].
template <typename Object, typename Integer>
struct number_key {
    std::string_view name;
    Integer Object::*member;
    Integer low;
    Integer high;
    bool required = false;

    [[nodiscard]] std::string allowed() const {
        return "a whole number from " + std::to_string(low) + " to " + std::to_string(high);
    }
    void read(const json& value, const std::string& path, Object& out) const {
        const auto number = as_whole_number(value);
        if (!number || std::cmp_less(*number, low) || std::cmp_greater(*number, high))
            refuse(path, shown(value), allowed());
        out.*member = static_cast<Integer>(*number);
    }
    void check(const Object& object, const std::string& path) const {
        if (object.*member < low || object.*member > high)
            refuse(path, std::to_string(object.*member), allowed());
    }
    [[nodiscard]] json write(const Object& object) const { return object.*member; }
};

/// What a size may be.
struct size_rule {
    byte_count low = 0;
    byte_count high = std::numeric_limits<byte_count>::max();
    byte_count multiple = 1;
    bool or_zero = false; ///< 0 is allowed although it is below `low`
    std::string_view zero_means = "";

    [[nodiscard]] bool allows(byte_count bytes) const {
        return (or_zero && bytes == 0) || (bytes >= low && bytes <= high && bytes % multiple == 0);
    }
    [[nodiscard]] std::string allowed() const;
};

/// A number of bytes, in JSON also a string like "256M".
template <typename Object>
struct size_key {
    std::string_view name;
    byte_count Object::*member;
    size_rule rule;
    bool required = false;

    void read(const json& value, const std::string& path, Object& out) const {
        const auto number = value.is_string()
                                ? parse_size(value.template get_ref<const std::string&>(), path)
                                : as_whole_number(value);
        if (!number || !rule.allows(*number))
            refuse(path, shown(value), rule.allowed());
        out.*member = *number;
    }
    void check(const Object& object, const std::string& path) const {
        if (!rule.allows(object.*member))
            refuse(path, size_text(object.*member), rule.allowed());
    }
    [[nodiscard]] json write(const Object& object) const { return size_text(object.*member); }
};

/// A duration: in JSON a number of the member's own unit, or a string like "20us".
template <typename Object, typename Duration>
struct duration_key {
    std::string_view name;
    Duration Object::*member;
    Duration high;
    bool required = false;

    [[nodiscard]] std::string allowed() const {
        return "0 to " + std::to_string(high.count()) + " " + unit() +
               ", as a number or as a string such as \"" + duration_text(high / 2) + "\"";
    }
    void read(const json& value, const std::string& path, Object& out) const {
        const auto duration = parse(value, path);
        if (!duration)
            refuse(path, shown(value), allowed());
        out.*member = *duration;
    }
    void check(const Object& object, const std::string& path) const {
        if (object.*member < Duration::zero() || object.*member > high)
            refuse(path, std::to_string((object.*member).count()) + " " + unit(), allowed());
    }
    [[nodiscard]] json write(const Object& object) const { return (object.*member).count(); }

  private:
    [[nodiscard]] static std::string unit() {
        const std::string one = duration_text(Duration(1)); // "1us"
        return one == "1ms" ? "milliseconds" : one == "1us" ? "microseconds" : one.substr(1);
    }
    [[nodiscard]] std::optional<Duration> parse(const json& value, const std::string& path) const {
        if (value.is_string()) {
            const auto exact = parse_duration(value.template get_ref<const std::string&>(), path);
            const auto cut = std::chrono::duration_cast<Duration>(exact);
            return cut == exact && cut <= high ? std::optional(cut) : std::nullopt;
        }
        const auto number = as_whole_number(value);
        if (!number || std::cmp_greater(*number, high.count()))
            return std::nullopt;
        return Duration(static_cast<typename Duration::rep>(*number));
    }
};

template <typename Object>
struct flag_key {
    std::string_view name;
    bool Object::*member;
    bool required = false;

    void read(const json& value, const std::string& path, Object& out) const {
        if (!value.is_boolean())
            refuse(path, shown(value), "true or false");
        out.*member = value.template get<bool>();
    }
    void check(const Object&, const std::string&) const {}
    [[nodiscard]] json write(const Object& object) const { return object.*member; }
};

/// An enum by name; enumerator i is called names[i].
template <typename Object, typename Enum, std::size_t N>
struct enum_key {
    std::string_view name;
    Enum Object::*member;
    std::array<std::string_view, N> names;
    bool required = false;

    void read(const json& value, const std::string& path, Object& out) const {
        if (!value.is_string())
            refuse(path, shown(value), joined(names));
        const auto& text = value.template get_ref<const std::string&>();
        for (std::size_t i = 0; i < N; ++i)
            if (names[i] == text) {
                out.*member = static_cast<Enum>(i);
                return;
            }
        refuse_name(path, text, names);
    }
    void check(const Object& object, const std::string& path) const {
        if (static_cast<std::size_t>(object.*member) >= N)
            refuse(path, std::to_string(static_cast<unsigned>(object.*member)), joined(names));
    }
    [[nodiscard]] json write(const Object& object) const {
        return names[static_cast<std::size_t>(object.*member)];
    }
};

/// One of a list of names that another part of the library knows.
template <typename Object>
struct name_key {
    std::string_view name;
    std::string Object::*member;
    std::span<const std::string_view> (*known)() noexcept;
    bool required = false;

    void read(const json& value, const std::string& path, Object& out) const {
        out.*member = read_text(value, path, joined(known()));
        check(out, path);
    }
    void check(const Object& object, const std::string& path) const {
        for (const std::string_view candidate : known())
            if (candidate == object.*member)
                return;
        refuse_name(path, object.*member, known());
    }
    [[nodiscard]] json write(const Object& object) const { return object.*member; }
};

/// Text of [low, high] bytes without NUL; without control characters unless it is a path.
template <typename Object>
struct text_key {
    std::string_view name;
    std::string Object::*member;
    std::size_t low;
    std::size_t high;
    bool is_path = false;
    bool required = false;

    [[nodiscard]] std::string allowed() const {
        return (is_path ? "a path of " : "text without control characters of ") +
               std::to_string(low) + " to " + std::to_string(high) + " bytes";
    }
    void read(const json& value, const std::string& path, Object& out) const {
        out.*member = read_text(value, path, allowed());
        check(out, path);
    }
    void check(const Object& object, const std::string& path) const {
        const std::string& text = object.*member;
        bool good = text.size() >= low && text.size() <= high;
        for (const char c : text)
            good = good && (is_path ? c != '\0' : static_cast<unsigned char>(c) >= 0x20);
        if (!good)
            refuse(path, in_quotes(text), allowed());
    }
    [[nodiscard]] json write(const Object& object) const { return object.*member; }
};

} // namespace uffdmm
