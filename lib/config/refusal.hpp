// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// How configuration is refused: every message names the key by its path, the value, and what is
/// allowed.

#include <span>
#include <string>
#include <string_view>

namespace uffdmm {

/// Throws setup_error (invalid_config) "<path>: <value> is not allowed; allowed: <allowed>".
[[noreturn]] void refuse(std::string_view path, std::string_view value, std::string_view allowed);

/// Throws setup_error (invalid_config) "<path>: <why>".
[[noreturn]] void refuse_combination(std::string_view path, std::string_view why);

/// Throws setup_error (invalid_config): `name` is not among `known`; suggests the nearest.
[[noreturn]] void refuse_name(std::string_view path, std::string_view name,
                              std::span<const std::string_view> known);

/// Throws setup_error (invalid_config): the object at `path` has no `key`; suggests the nearest.
[[noreturn]] void refuse_key(std::string_view path, std::string_view key,
                             std::span<const std::string_view> known);

/// The member of `known` that `name` is probably meant to be, or "".
[[nodiscard]] std::string_view nearest(std::string_view name,
                                       std::span<const std::string_view> known);

/// "a, b, c"
[[nodiscard]] std::string joined(std::span<const std::string_view> names);

/// `text` in double quotes, with control characters escaped, cut where it is long.
[[nodiscard]] std::string in_quotes(std::string_view text);

/// "regions[0]" + "shards" → "regions[0].shards". A name that is no identifier is quoted.
[[nodiscard]] std::string path_of(std::string_view object, std::string_view key);
[[nodiscard]] std::string path_of(std::string_view array, std::size_t index);

} // namespace uffdmm
