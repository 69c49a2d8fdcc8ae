// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/tier_spec.hpp"

#include <array>
#include <map>
#include <string>

#include "config/refusal.hpp"

namespace uffdmm {
namespace {

constexpr std::array<std::string_view, 2> codecs{"lz4", "zstd"};

[[noreturn]] void refuse_spec(std::string_view key, std::string_view spec) {
    refuse(key, in_quotes(spec), tier_forms);
}

/// SIZE[:CODEC]
tier_config ram_tier(std::string_view rest, std::string_view spec, std::string_view key) {
    ram_tier_config tier;
    const std::size_t colon = rest.find(':');
    if (rest.empty() || colon == 0)
        refuse_spec(key, spec);
    tier.size = parse_size(rest.substr(0, colon), key);
    if (colon == std::string_view::npos)
        return tier;
    const std::string_view compression = rest.substr(colon + 1);
    if (compression == "zstd")
        tier.compression = codec::zstd;
    else if (compression != "lz4")
        refuse_name(key, compression, codecs);
    return tier;
}

/// PATH:SIZE
tier_config file_tier(std::string_view rest, std::string_view spec, std::string_view key) {
    file_tier_config tier;
    const std::size_t colon = rest.rfind(':');
    if (colon == std::string_view::npos || colon == 0 || colon + 1 == rest.size())
        refuse_spec(key, spec);
    tier.path = rest.substr(0, colon);
    tier.size = parse_size(rest.substr(colon + 1), key);
    return tier;
}

/// PATH:SIZE, a store that others may use at the same time: its blocks are not reserved.
tier_config shared_tier(std::string_view rest, std::string_view spec, std::string_view key) {
    tier_config tier = file_tier(rest, spec, key);
    auto& file = std::get<file_tier_config>(tier);
    file.name = "shared";
    file.shared = true;
    file.preallocate = false;
    return tier;
}

/// URI, of which validate() knows more.
tier_config nbd_tier(std::string_view rest, std::string_view spec, std::string_view key) {
    nbd_tier_config tier;
    if (rest.empty())
        refuse_spec(key, spec);
    tier.uri = rest;
    return tier;
}

} // namespace

tier_config parse_tier(std::string_view spec, std::string_view key) {
    const std::size_t colon = spec.find(':');
    if (colon == std::string_view::npos)
        refuse_spec(key, spec);
    const std::string_view kind = spec.substr(0, colon);
    const std::string_view rest = spec.substr(colon + 1);
    if (kind == "ram")
        return ram_tier(rest, spec, key);
    if (kind == "file")
        return file_tier(rest, spec, key);
    if (kind == "shared")
        return shared_tier(rest, spec, key);
    if (kind == "nbd")
        return nbd_tier(rest, spec, key);
    refuse_spec(key, spec);
}

void name_tiers(std::vector<tier_config>& tiers) {
    std::map<std::string, unsigned> seen;
    for (tier_config& tier : tiers)
        std::visit(
            [&](auto& t) {
                if (const unsigned number = ++seen[t.name]; number > 1)
                    t.name += std::to_string(number);
            },
            tier);
}

} // namespace uffdmm
