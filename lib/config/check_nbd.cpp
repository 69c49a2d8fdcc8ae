// SPDX-License-Identifier: BSD-3-Clause
#include "config/check_nbd.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>

#include "config/refusal.hpp"
#include "config/units.hpp"

namespace uffdmm {
namespace {

constexpr std::string_view forms = "nbd://HOST[:PORT]/[EXPORT], nbd+unix:///[EXPORT]?socket=PATH, "
                                   "nbd+vsock://CID[:PORT]/[EXPORT]; "
                                   "the same with nbds for TLS";

constexpr std::array<std::string_view, 6> schemes{"nbd",       "nbds",      "nbd+unix",
                                                  "nbds+unix", "nbd+vsock", "nbds+vsock"};

/// scheme://authority/path?query
struct uri_parts {
    std::string_view scheme;
    std::string_view authority;
    std::string_view query;
};

uri_parts split(std::string_view uri) {
    uri_parts parts;
    const std::size_t colon = uri.find("://");
    if (colon == std::string_view::npos)
        return parts;
    parts.scheme = uri.substr(0, colon);
    uri.remove_prefix(colon + 3);
    const std::size_t question = uri.find('?');
    if (question != std::string_view::npos)
        parts.query = uri.substr(question + 1);
    parts.authority = uri.substr(0, uri.find_first_of("/?#"));
    return parts;
}

bool has_parameter(std::string_view query, std::string_view name) {
    while (!query.empty()) {
        const std::string_view one = query.substr(0, query.find('&'));
        if (one.starts_with(name) && one.substr(name.size()).starts_with('=') &&
            one.size() > name.size() + 1)
            return true;
        query.remove_prefix(std::min(query.size(), one.size() + 1));
    }
    return false;
}

void check_uri(const nbd_tier_config& config, const std::string& path) {
    const std::string key = path_of(path, "uri");
    const uri_parts uri = split(config.uri);
    if (std::find(schemes.begin(), schemes.end(), uri.scheme) == schemes.end())
        refuse(key, in_quotes(config.uri), forms);
    const std::string_view host = uri.authority.substr(uri.authority.rfind('@') + 1);
    const bool unix_socket = uri.scheme.ends_with("+unix");
    if (unix_socket && !has_parameter(uri.query, "socket"))
        refuse_combination(key, in_quotes(config.uri) +
                                    " names no socket; allowed: " + std::string(forms));
    if (!unix_socket && (host.empty() || host.front() == ':'))
        refuse_combination(key, in_quotes(config.uri) +
                                    " names no host; allowed: " + std::string(forms));
    for (const std::string_view name : {"tls-psk-file", "tls-certificates"})
        if (has_parameter(uri.query, name))
            refuse_combination(key,
                               std::string(name) +
                                   " is not allowed in the URI; allowed: the key tls_psk_file");
    if (!config.tls_psk_file.empty() && !uri.scheme.starts_with("nbds"))
        refuse_combination(path_of(path, "tls_psk_file"),
                           "is given, but the URI is not one with TLS; allowed: an nbds URI, or no "
                           "tls_psk_file");
}

void check_time(std::chrono::milliseconds time, const std::string& key) {
    if (time < std::chrono::milliseconds(100))
        refuse(key, duration_text(time), "at least 100ms");
}

} // namespace

void check_nbd(const nbd_tier_config& config, const std::string& path) {
    check_uri(config, path);
    check_time(config.request_timeout, path_of(path, "request_timeout"));
    check_time(config.lost_after, path_of(path, "lost_after"));
}

} // namespace uffdmm
