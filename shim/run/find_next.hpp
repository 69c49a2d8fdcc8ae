// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What a name means behind this library.

#include <cstdlib>
#include <cstring>

#include <dlfcn.h>

#include "run/tell.hpp"

namespace preload {

/// dlsym may allocate: the caller is `inside`.
template <typename Function>
void find_next(Function& function, const char* name) noexcept {
    void* const symbol = ::dlsym(RTLD_NEXT, name);
    if (symbol == nullptr) {
        tell("the program has no %s", name);
        std::abort();
    }
    std::memcpy(&function, &symbol, sizeof function);
}

} // namespace preload
