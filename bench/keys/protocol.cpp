// SPDX-License-Identifier: BSD-3-Clause
#include "keys/protocol.hpp"

#include <charconv>

namespace keys {
namespace {

constexpr std::string_view line_end = "\r\n";

/// The number at the end of a line: "$1024", "VALUE key 0 1024".
std::size_t number_at_end(std::string_view line) {
    std::size_t number = 0;
    const std::string_view digits = line.substr(line.find_last_of(" $") + 1);
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number;
}

/// A reply of one line.
reply parse_line(std::string_view text, std::string_view good) {
    const std::size_t end = text.find(line_end);
    if (end == std::string_view::npos)
        return {};
    return {end + line_end.size(), text.substr(0, end) == good, {}};
}

/// A line that ends in the value's length, the value, and `tail`.
reply parse_value(std::string_view text, std::string_view tail) {
    const std::size_t end = text.find(line_end);
    if (end == std::string_view::npos)
        return {};
    const std::size_t begin = end + line_end.size();
    const std::size_t bytes = number_at_end(text.substr(0, end));
    if (text.size() < begin + bytes + tail.size())
        return {};
    return {begin + bytes + tail.size(), text.substr(begin + bytes, tail.size()) == tail,
            text.substr(begin, bytes)};
}

class redis final : public protocol {
  public:
    void get(std::string& out, std::string_view key) const override {
        out.append("*2\r\n$3\r\nGET\r\n");
        append(out, key);
    }
    void set(std::string& out, std::string_view key, std::string_view value) const override {
        out.append("*3\r\n$3\r\nSET\r\n");
        append(out, key);
        append(out, value);
    }
    [[nodiscard]] reply parse_get(std::string_view text) const override {
        if (text.starts_with("$-1\r\n") || text.starts_with('-'))
            return parse_line(text, "");
        return parse_value(text, line_end);
    }
    [[nodiscard]] reply parse_set(std::string_view text) const override {
        return parse_line(text, "+OK");
    }

  private:
    static void append(std::string& out, std::string_view text) {
        out.append("$").append(std::to_string(text.size())).append(line_end);
        out.append(text).append(line_end);
    }
};

class memcached final : public protocol {
  public:
    void get(std::string& out, std::string_view key) const override {
        out.append("get ").append(key).append(line_end);
    }
    void set(std::string& out, std::string_view key, std::string_view value) const override {
        out.append("set ").append(key).append(" 0 0 ").append(std::to_string(value.size()));
        out.append(line_end).append(value).append(line_end);
    }
    [[nodiscard]] reply parse_get(std::string_view text) const override {
        if (text.starts_with("VALUE "))
            return parse_value(text, "\r\nEND\r\n");
        return text.size() < 6 ? reply{} : parse_line(text, "");
    }
    [[nodiscard]] reply parse_set(std::string_view text) const override {
        return parse_line(text, "STORED");
    }
};

} // namespace

std::unique_ptr<protocol> make_protocol(std::string_view name) {
    if (name == "redis")
        return std::make_unique<redis>();
    if (name == "memcached")
        return std::make_unique<memcached>();
    return nullptr;
}

} // namespace keys
