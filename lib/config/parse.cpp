// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "config/check.hpp"
#include "config/document.hpp"
#include "config/keys.hpp"
#include "kernel/file_descriptor.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

constexpr std::size_t largest_file = 1 << 20;

constexpr std::array<std::string_view, 3> tier_kinds{"ram", "file", "nbd"};

void want_object(const json& value, const std::string& path) {
    if (!value.is_object())
        refuse(path, shown(value), "an object, such as {\"size\": \"1G\"}");
}

/// Reads the keys of Object from `value`; leaves those in `others` to the caller.
template <typename Object>
void read_keys(const json& value, const std::string& path, Object& out,
               const std::vector<std::string_view>& others) {
    for (const auto& item : value.items())
        if (const auto known = key_names<Object>(others);
            std::find(known.begin(), known.end(), item.key()) == known.end())
            refuse_key(path, item.key(), known);
    for_each_key<Object>([&](const auto& key) {
        const auto it = value.find(std::string(key.name));
        if (it != value.end())
            key.read(*it, path_of(path, key.name), out);
        else if (key.required)
            refuse_combination(path_of(path, key.name), "the key is required");
    });
}

template <typename Tier>
tier_config read_tier_of(const json& value, const std::string& path) {
    Tier tier;
    read_keys(value, path, tier, {"kind"});
    return tier;
}

tier_config read_tier(const json& value, const std::string& path) {
    if (!value.is_object())
        refuse(path, shown(value), "an object, such as {\"kind\": \"ram\", \"size\": \"64M\"}");
    const std::string key = path_of(path, "kind");
    const auto it = value.find("kind");
    if (it == value.end())
        refuse_combination(key, "the key is required; allowed: " + joined(tier_kinds));
    const std::string kind = read_text(*it, key, joined(tier_kinds));
    if (kind == "ram")
        return read_tier_of<ram_tier_config>(value, path);
    if (kind == "file")
        return read_tier_of<file_tier_config>(value, path);
    if (kind == "nbd")
        return read_tier_of<nbd_tier_config>(value, path);
    if (kind == "custom")
        refuse(key, in_quotes(kind),
               joined(tier_kinds) + "; a custom tier is code, passed through "
                                    "the C or C++ interface");
    refuse_name(key, kind, tier_kinds);
}

region_config read_region(const json& value, const std::string& path) {
    want_object(value, path);
    for (const std::string_view key : {"address", "fd", "fd_offset"})
        if (value.contains(std::string(key)))
            refuse_combination(path_of(path, key), "memory of the embedder is passed through the C "
                                                   "or C++ interface, not in JSON");
    region_config region;
    read_keys(value, path, region, {});
    return region;
}

/// Reads each element of the array under `key`; an absent key is an empty array.
template <typename Element, typename Read>
std::vector<Element> read_array(const json& document, const std::string& key, Read read) {
    std::vector<Element> out;
    const auto it = document.find(key);
    if (it == document.end())
        return out;
    if (!it->is_array())
        refuse(key, shown(*it), "an array of objects");
    for (const json& element : *it)
        out.push_back(read(element, path_of(key, out.size())));
    return out;
}

config read_config(const json& document) {
    if (!document.is_object())
        refuse("the document", shown(document), "an object, such as {\"limit\": \"256M\"}");
    config out;
    read_keys(document, "", out.manager, {"tiers", "regions"});
    out.manager.tiers = read_array<tier_config>(document, "tiers", read_tier);
    out.regions = read_array<region_config>(document, "regions", read_region);
    check_manager(out.manager, "");
    for (std::size_t i = 0; i < out.regions.size(); ++i)
        check_region(out.regions[i], path_of("regions", i));
    return out;
}

[[noreturn]] void file_failure(const std::string& path, int os_errno) {
    throw setup_error(errc::system,
                      "reading the configuration " + path + ": " + ::strerrordesc_np(os_errno),
                      os_errno);
}

std::string read_file(const std::string& path) {
    const file_descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file)
        file_failure(path, errno);
    std::string text(largest_file + 1, '\0');
    std::size_t length = 0;
    while (length < text.size()) {
        const ssize_t n = ::read(file.get(), text.data() + length, text.size() - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            file_failure(path, errno);
        if (n == 0)
            break;
        length += static_cast<std::size_t>(n);
    }
    if (length > largest_file)
        throw setup_error(errc::invalid_config,
                          path + ": the file is larger than 1M; allowed: a configuration in JSON");
    text.resize(length);
    return text;
}

} // namespace

config parse_config(std::string_view text, std::string_view source) {
    try {
        return read_config(parse_document(text));
    } catch (const setup_error& e) {
        throw setup_error(e.code(), std::string(source) + ": " + e.what(), e.os_errno());
    }
}

config load_config(const std::string& path) {
    return parse_config(read_file(path), path);
}

} // namespace uffdmm
