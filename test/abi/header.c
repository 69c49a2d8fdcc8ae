/* SPDX-License-Identifier: BSD-3-Clause */
#include "uffdmm.h"

#include "uffdmm.h" /* twice is fine */

int header_is_c99(void);
int header_is_c99(void) {
    struct uffdmm_stats stats = {.struct_size = sizeof stats};
    return stats.struct_size == sizeof stats && UFFDMM_MAX_SLOT > 0 && UFFDMM_PAGE_SIZE == 4096;
}
