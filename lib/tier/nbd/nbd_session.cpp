// SPDX-License-Identifier: BSD-3-Clause
#include "tier/nbd/nbd_session.hpp"

#include <algorithm>
#include <cerrno>

#include <libnbd.h>

namespace uffdmm {
namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// Requests of this size every server takes.
constexpr std::uint64_t usual_request = std::uint64_t{32} << 20;
/// A trim has a length of 32 bits.
constexpr std::uint64_t longest_trim = std::uint64_t{1} << 30;

nbd_failure last_failure() {
    const char* text = ::nbd_get_error();
    return {::nbd_get_errno(), text != nullptr ? text : "the connection was closed"};
}

void must(int status) {
    if (status < 0)
        throw last_failure();
}

bool flag(int answer) {
    must(answer);
    return answer != 0;
}

int milliseconds_until(clock::time_point end, milliseconds most) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - clock::now());
    return static_cast<int>(std::clamp(left, milliseconds(1), most).count());
}

bool is_over(::nbd_handle* handle) {
    return ::nbd_aio_is_dead(handle) > 0 || ::nbd_aio_is_closed(handle) > 0;
}

} // namespace

void nbd_closer::operator()(::nbd_handle* handle) const noexcept {
    ::nbd_close(handle);
}

nbd_session connect_nbd(const nbd_tier_config& config, milliseconds timeout,
                        const std::atomic<bool>& stop) {
    const auto end = clock::now() + timeout;
    nbd_session session(::nbd_create());
    if (!session)
        throw last_failure();
    ::nbd_handle* const h = session.get();
    must(::nbd_set_uri_allow_local_file(h, false)); // the configuration has keys for files
    if (!config.tls_psk_file.empty())
        must(::nbd_set_tls_psk_file(h, config.tls_psk_file.c_str()));
    must(::nbd_aio_connect_uri(h, config.uri.c_str()));
    while (::nbd_aio_is_ready(h) == 0) {
        if (is_over(h))
            throw last_failure();
        // acquire: nothing but the flag is read; relaxed would do, and costs the same here.
        if (stop.load(std::memory_order_acquire))
            throw nbd_failure{ECANCELED, "shutting down"};
        if (clock::now() >= end)
            throw nbd_failure{ETIMEDOUT, "the server does not answer"};
        must(::nbd_poll(h, milliseconds_until(end, milliseconds(50))));
    }
    return session;
}

nbd_export export_of(const nbd_session& session) {
    ::nbd_handle* const h = session.get();
    nbd_export e;
    const std::int64_t bytes = ::nbd_get_size(h);
    const std::int64_t least = ::nbd_get_block_size(h, LIBNBD_SIZE_MINIMUM);
    const std::int64_t most = ::nbd_get_block_size(h, LIBNBD_SIZE_MAXIMUM);
    if (bytes < 0 || least < 0 || most < 0)
        throw last_failure();
    e.bytes = static_cast<std::uint64_t>(bytes);
    e.least_block = std::max<std::uint64_t>(static_cast<std::uint64_t>(least), 1);
    const std::uint64_t request = most == 0 ? usual_request : static_cast<std::uint64_t>(most);
    e.most_bytes = static_cast<std::uint32_t>(std::min(request, usual_request));
    e.read_only = flag(::nbd_is_read_only(h));
    e.trims = flag(::nbd_can_trim(h));
    e.flushes = flag(::nbd_can_flush(h));
    e.forces_unit_access = flag(::nbd_can_fua(h));
    e.many_connections = flag(::nbd_can_multi_conn(h));
    return e;
}

void say_good_bye(nbd_session session, std::uint64_t trimmed, clock::time_point end) noexcept {
    ::nbd_handle* const h = session.get();
    for (std::uint64_t at = 0; at < trimmed; at += longest_trim)
        if (::nbd_aio_trim(h, std::min(longest_trim, trimmed - at), at, NBD_NULL_COMPLETION, 0) < 0)
            break;
    while (::nbd_aio_in_flight(h) > 0 && !is_over(h) && clock::now() < end)
        if (::nbd_poll(h, milliseconds_until(end, milliseconds(1000))) < 0)
            return;
    if (::nbd_aio_in_flight(h) == 0 && ::nbd_aio_disconnect(h, 0) == 0)
        while (!is_over(h) && clock::now() < end)
            if (::nbd_poll(h, milliseconds_until(end, milliseconds(100))) < 0)
                return;
}

} // namespace uffdmm
