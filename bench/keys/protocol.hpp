// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Requests and replies of Redis (RESP) and memcached (text), as far as GET and SET of one key go.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace keys {

/// A whole reply, or a part of one.
struct reply {
    std::size_t length = 0; ///< bytes of it all; 0: more are to come
    bool good = false;      ///< stored, or found
    std::string_view value; ///< of a GET
};

class protocol {
  public:
    protocol() = default;
    protocol(const protocol&) = delete;
    protocol& operator=(const protocol&) = delete;
    virtual ~protocol() = default;

    virtual void get(std::string& out, std::string_view key) const = 0;
    virtual void set(std::string& out, std::string_view key, std::string_view value) const = 0;
    [[nodiscard]] virtual reply parse_get(std::string_view text) const = 0;
    [[nodiscard]] virtual reply parse_set(std::string_view text) const = 0;
};

/// "redis" or "memcached"; nullptr otherwise.
[[nodiscard]] std::unique_ptr<protocol> make_protocol(std::string_view name);

} // namespace keys
