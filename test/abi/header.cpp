// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm.h"

#include "uffdmm.h" // twice is fine

static_assert(noexcept(uffdmm_version()), "C functions do not throw");
static_assert(UFFDMM_MAX_SLOT > 0, "constants are constants in C++ too");
