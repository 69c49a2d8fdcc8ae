// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/result.hpp"

namespace uffdmm {

const char* to_string(errc code) noexcept {
    switch (code) {
    case errc::ok:
        return "ok";
    case errc::invalid_argument:
        return "invalid argument";
    case errc::invalid_config:
        return "invalid configuration";
    case errc::not_supported:
        return "not supported";
    case errc::permission_denied:
        return "permission denied";
    case errc::busy:
        return "busy";
    case errc::no_memory:
        return "out of memory";
    case errc::limit_too_small:
        return "limit too small";
    case errc::not_found:
        return "not found";
    case errc::wrong_state:
        return "wrong state";
    case errc::io_error:
        return "I/O error";
    case errc::corrupt:
        return "corrupt slot";
    case errc::poisoned:
        return "poisoned page";
    case errc::full:
        return "no tier has room";
    case errc::shut_down:
        return "shut down";
    case errc::system:
        return "system error";
    }
    return "unknown";
}

} // namespace uffdmm
