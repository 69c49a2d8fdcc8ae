// SPDX-License-Identifier: BSD-3-Clause
#include "errors.hpp"
#include "text.hpp"
#include "uffdmm.h"
#include "uffdmm/manager.hpp"

using namespace uffdmm::shim;

const char* uffdmm_version(void) noexcept {
    return uffdmm::version();
}

int uffdmm_kernel_features(char** text) noexcept {
    return guarded(__func__, [&] {
        require(text, "text");
        give_text(uffdmm::kernel_features(), text);
        return 0;
    });
}
