// SPDX-License-Identifier: BSD-3-Clause
#include "tier/nbd/nbd_refusal.hpp"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <string>

#include <unistd.h>

#include "tier/file/extent_pool.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {
namespace {

[[noreturn]] void refuse(errc code, const char* key, const std::string& value,
                         const std::string& why, int os_errno = 0) {
    std::string text = "tiers[].";
    text.append(key).append(" (").append(value).append("): ").append(why);
    throw setup_error(code, text, os_errno);
}

std::string quoted(const std::string& text) {
    return "\"" + text + "\"";
}

std::string size_text(byte_count bytes) {
    char text[48];
    std::snprintf(text, sizeof text, "%llu bytes (%.1f MiB)",
                  static_cast<unsigned long long>(bytes), static_cast<double>(bytes) / (1 << 20));
    return text;
}

errc code_of(int os_errno) {
    switch (os_errno) {
    case ENOENT:
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return errc::not_found;
    case EACCES:
    case EPERM:
        return errc::permission_denied;
    default:
        return errc::system;
    }
}

} // namespace

nbd_session first_session(const nbd_tier_config& config, std::chrono::milliseconds timeout) {
    if (!config.tls_psk_file.empty() && ::access(config.tls_psk_file.c_str(), R_OK) != 0)
        refuse(code_of(errno), "tls_psk_file", quoted(config.tls_psk_file),
               std::string("cannot be read: ") + ::strerrordesc_np(errno), errno);
    const std::atomic<bool> never{false};
    try {
        return connect_nbd(config, timeout, never);
    } catch (const nbd_failure& e) {
        refuse(code_of(e.os_errno), "uri", quoted(config.uri),
               "no connection to the server: " + e.text, e.os_errno);
    }
}

nbd_export checked_export(const nbd_tier_config& config, const nbd_session& session) {
    const std::string uri = quoted(config.uri);
    nbd_export e;
    try {
        e = export_of(session);
    } catch (const nbd_failure& failure) {
        refuse(errc::system, "uri", uri, failure.text, failure.os_errno);
    }
    constexpr byte_count most = bytes_of(extent_pool::max_slots);
    if (e.read_only)
        refuse(errc::permission_denied, "uri", uri,
               "the export is read-only; swapping needs one that can be written to", EROFS);
    if (page_size % e.least_block != 0)
        refuse(errc::not_supported, "uri", uri,
               "the server takes blocks of " + std::to_string(e.least_block) +
                   " bytes; allowed: exports with blocks that 4096 is a multiple of");
    if (e.most_bytes < page_size)
        refuse(errc::not_supported, "uri", uri,
               "the server takes at most " + std::to_string(e.most_bytes) +
                   " bytes in a request; allowed: exports that take 4096 or more");
    if (e.bytes < page_size)
        refuse(errc::invalid_config, "uri", uri,
               "the export has " + size_text(e.bytes) + "; allowed: at least 4096 bytes");
    if (config.size > e.bytes)
        refuse(errc::invalid_config, "size", size_text(config.size),
               "the export " + uri + " has only " + size_text(e.bytes) +
                   "; allowed: up to that, or 0 for all of it");
    if ((config.size == 0 ? e.bytes : config.size) > most)
        refuse(errc::invalid_config, "size", size_text(config.size == 0 ? e.bytes : config.size),
               "is more than a tier can use; allowed: up to " + size_text(most));
    if (config.durable && !e.forces_unit_access)
        refuse(errc::not_supported, "durable", "true",
               "the server has no forced unit access (FUA); allowed: false, or another server");
    return e;
}

} // namespace uffdmm
