// SPDX-License-Identifier: BSD-3-Clause
#include "text.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

#include "errors.hpp"
#include "uffdmm.h"
#include "uffdmm/config.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm::shim {
namespace {

// The numbers are part of the binary interface: one that moved shows here.
static_assert(UFFDMM_INVALID_ARGUMENT == static_cast<int>(errc::invalid_argument) &&
              UFFDMM_INVALID_CONFIG == static_cast<int>(errc::invalid_config) &&
              UFFDMM_NOT_SUPPORTED == static_cast<int>(errc::not_supported) &&
              UFFDMM_PERMISSION_DENIED == static_cast<int>(errc::permission_denied) &&
              UFFDMM_BUSY == static_cast<int>(errc::busy) &&
              UFFDMM_NO_MEMORY == static_cast<int>(errc::no_memory) &&
              UFFDMM_LIMIT_TOO_SMALL == static_cast<int>(errc::limit_too_small) &&
              UFFDMM_NOT_FOUND == static_cast<int>(errc::not_found) &&
              UFFDMM_WRONG_STATE == static_cast<int>(errc::wrong_state) &&
              UFFDMM_IO_ERROR == static_cast<int>(errc::io_error) &&
              UFFDMM_CORRUPT == static_cast<int>(errc::corrupt) &&
              UFFDMM_POISONED == static_cast<int>(errc::poisoned) &&
              UFFDMM_FULL == static_cast<int>(errc::full) &&
              UFFDMM_SHUT_DOWN == static_cast<int>(errc::shut_down) &&
              UFFDMM_SYSTEM == static_cast<int>(errc::system));

} // namespace

void give_text(const std::string& text, char** out) {
    require(out, "text");
    char* const copy = ::strdup(text.c_str());
    if (copy == nullptr)
        throw std::bad_alloc();
    *out = copy;
}

} // namespace uffdmm::shim

using namespace uffdmm::shim;

const char* uffdmm_errc_name(int errc) noexcept {
    return uffdmm::to_string(static_cast<uffdmm::errc>(errc));
}

void uffdmm_free(void* text) noexcept {
    std::free(text);
}

int uffdmm_parse_size(const char* text, uint64_t* bytes) noexcept {
    return guarded(__func__, [&] {
        require(text, "text");
        require(bytes, "bytes");
        *bytes = uffdmm::parse_size(text, "text");
        return 0;
    });
}
