// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Operating errors as values: result<T> holds a T or an error. No allocation, no exceptions, so it
/// can cross the fault path and the C ABI. (std::expected is missing under gcc 12 -std=c++20.)

#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "uffdmm/check.hpp"
#include "uffdmm/export.hpp"

namespace uffdmm {

/// What went wrong, in terms a caller can act on. Values are part of the C ABI: append only.
enum class errc : int {
    ok = 0,
    invalid_argument,  ///< a parameter is out of range or misaligned
    invalid_config,    ///< a configuration key, type, size or combination is refused
    not_supported,     ///< the kernel or the build lacks what is needed
    permission_denied, ///< userfaultfd may not be opened by this process
    busy,              ///< somebody else holds it: another userfaultfd, a pin
    no_memory,         ///< the host (or vm.max_map_count) is out of memory
    limit_too_small,   ///< the host-memory limit cannot hold what was asked for
    not_found,         ///< no such region, page or slot
    wrong_state,       ///< the object is in a state that does not permit the call
    io_error,          ///< a tier failed to read or write
    corrupt,           ///< a slot's checksum or generation does not match
    poisoned,          ///< the page's contents are lost for good
    full,              ///< no tier has room
    shut_down,         ///< the manager or region is going away
    system             ///< any other failing system call; os_errno tells
};

[[nodiscard]] UFFDMM_CXX_API const char* to_string(errc code) noexcept;

/// An operating error. `operation` is a string literal naming what failed ("UFFDIO_REGISTER").
struct error {
    errc code = errc::ok;
    int os_errno = 0;
    const char* operation = "";
};

/// Thrown by set-up only (constructors of manager, parsing of configuration). what() is a whole
/// sentence that names the offending key or option and what is allowed.
class UFFDMM_CXX_API setup_error : public std::runtime_error {
  public:
    setup_error(errc code, const std::string& what, int os_errno = 0)
        : std::runtime_error(what), code_(code), os_errno_(os_errno) {}
    [[nodiscard]] errc code() const noexcept { return code_; }
    [[nodiscard]] int os_errno() const noexcept { return os_errno_; }

  private:
    errc code_;
    int os_errno_;
};

template <typename T>
class [[nodiscard]] result {
  public:
    result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    result(error failure) : state_(std::in_place_index<1>, failure) {}

    [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return ok(); }
    [[nodiscard]] T& value() & {
        UFFDMM_CHECK(ok(), "value() of a failed result");
        return *std::get_if<0>(&state_);
    }
    [[nodiscard]] const T& value() const& {
        UFFDMM_CHECK(ok(), "value() of a failed result");
        return *std::get_if<0>(&state_);
    }
    [[nodiscard]] T&& value() && {
        UFFDMM_CHECK(ok(), "value() of a failed result");
        return std::move(*std::get_if<0>(&state_));
    }
    [[nodiscard]] uffdmm::error failure() const noexcept {
        return ok() ? uffdmm::error{} : *std::get_if<1>(&state_);
    }
    [[nodiscard]] errc code() const noexcept { return failure().code; }

  private:
    std::variant<T, uffdmm::error> state_;
};

template <>
class [[nodiscard]] result<void> {
  public:
    result() = default;
    result(error failure) : failure_(failure) {}

    [[nodiscard]] bool ok() const noexcept { return failure_.code == errc::ok; }
    explicit operator bool() const noexcept { return ok(); }
    [[nodiscard]] uffdmm::error failure() const noexcept { return failure_; }
    [[nodiscard]] errc code() const noexcept { return failure_.code; }

  private:
    uffdmm::error failure_;
};

} // namespace uffdmm
