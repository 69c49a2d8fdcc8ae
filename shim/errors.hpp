// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Failures on their way to a C caller: an errno value as the result, and a sentence that
/// uffdmm_last_error() gives on the same thread.

#include <string>
#include <string_view>

#include "uffdmm/result.hpp"

namespace uffdmm::shim {

/// An option or a struct that only a newer library knows: -E2BIG.
class too_new : public setup_error {
  public:
    explicit too_new(const std::string& what) : setup_error(errc::not_supported, what) {}
};

/// Throws setup_error (invalid_argument) with a sentence that names the argument and what is
/// allowed.
[[noreturn]] void refuse(const std::string& what);

/// Throws setup_error if `pointer` is NULL.
void require(const void* pointer, const char* name);

/// The errno value that goes with a failure. os_errno counts for errc::system only.
[[nodiscard]] int errno_of(errc code, int os_errno) noexcept;

/// Keeps `call: text` for uffdmm_last_error() and gives -number. Cuts what is too long.
int fail(const char* call, errc code, int number, std::string_view text) noexcept;

/// The same for a failed result. `subject` says what the call was about; `hint` what is allowed.
int fail(const char* call, const error& failure, std::string_view subject, std::string_view hint);

/// The same for the exception being handled.
int fail_by_exception(const char* call) noexcept;

/// Runs the body of a C call; gives what it gives. No exception leaves.
template <typename Body>
int guarded(const char* call, Body&& body) noexcept {
    try {
        return body();
    } catch (...) {
        return fail_by_exception(call);
    }
}

} // namespace uffdmm::shim
