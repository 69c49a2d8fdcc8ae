// SPDX-License-Identifier: BSD-3-Clause
#include "errors.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include "uffdmm.h"

namespace uffdmm::shim {
namespace {

/// Plain data, so that a thread that never failed pays nothing and no destructor runs at its end.
struct last_failure {
    int code = UFFDMM_OK;
    char text[1024] = "";
};
thread_local constinit last_failure last;

/// Cuts between characters: a UTF-8 character that does not fit whole is left out.
void keep(std::string_view call, std::string_view text) noexcept {
    const int length =
        std::snprintf(last.text, sizeof last.text, "%.*s: %.*s", static_cast<int>(call.size()),
                      call.data(), static_cast<int>(text.size()), text.data());
    if (length < static_cast<int>(sizeof last.text))
        return;
    const auto is_continuation = [](char c) { return (static_cast<unsigned char>(c) >> 6) == 2; };
    std::size_t end = sizeof last.text - 1;
    while (end > 0 && is_continuation(last.text[end - 1]))
        --end;
    if (end > 0 && static_cast<unsigned char>(last.text[end - 1]) >= 0xc0)
        --end;
    last.text[end] = '\0';
}

} // namespace

void refuse(const std::string& what) {
    throw setup_error(errc::invalid_argument, what);
}

void require(const void* pointer, const char* name) {
    if (pointer == nullptr)
        refuse(std::string(name) + " is NULL; allowed: a valid pointer");
}

int errno_of(errc code, int os_errno) noexcept {
    switch (code) {
    case errc::ok:
        return 0;
    case errc::invalid_argument:
    case errc::invalid_config:
        return EINVAL;
    case errc::not_supported:
        return EOPNOTSUPP;
    case errc::permission_denied:
        return EPERM;
    case errc::busy:
        return EBUSY;
    case errc::no_memory:
        return ENOMEM;
    case errc::limit_too_small:
        return EDQUOT;
    case errc::not_found:
        return ENOENT;
    case errc::wrong_state:
        return EBADFD;
    case errc::io_error:
        return EIO;
    case errc::corrupt:
        return EBADMSG;
    case errc::poisoned:
        return EHWPOISON;
    case errc::full:
        return ENOSPC;
    case errc::shut_down:
        return ESHUTDOWN;
    case errc::system:
        break;
    }
    return os_errno > 0 ? os_errno : EIO;
}

int fail(const char* call, errc code, int number, std::string_view text) noexcept {
    last.code = static_cast<int>(code);
    keep(call, text);
    return -number;
}

int fail(const char* call, const error& failure, std::string_view subject, std::string_view hint) {
    std::string text(subject);
    text.append(text.empty() ? "" : ": ").append(to_string(failure.code));
    if (failure.operation != nullptr && *failure.operation != '\0')
        text.append(" (").append(failure.operation).append(")");
    if (failure.os_errno > 0)
        text.append(", ").append(::strerrordesc_np(failure.os_errno));
    if (!hint.empty())
        text.append("; ").append(hint);
    return fail(call, failure.code, errno_of(failure.code, failure.os_errno), text);
}

int fail_by_exception(const char* call) noexcept {
    try {
        throw;
    } catch (const too_new& e) {
        return fail(call, e.code(), E2BIG, e.what());
    } catch (const setup_error& e) {
        return fail(call, e.code(), errno_of(e.code(), e.os_errno()), e.what());
    } catch (const std::bad_alloc&) {
        return fail(call, errc::no_memory, ENOMEM, "out of memory");
    } catch (const std::exception& e) {
        return fail(call, errc::system, EIO, e.what());
    } catch (...) {
        return fail(call, errc::system, EIO, "an unknown exception");
    }
}

} // namespace uffdmm::shim

const char* uffdmm_last_error(void) noexcept {
    return uffdmm::shim::last.text;
}

int uffdmm_last_errc(void) noexcept {
    return uffdmm::shim::last.code;
}
