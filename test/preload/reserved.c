/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses that are reserved first and made accessible later are memory from then on, executable
 * ones excepted. */
#include "check.h"

#include <sys/mman.h>

int main(void) {
    const size_t room = MEBIBYTES(128);
    const size_t bytes = MEBIBYTES(48);
    char* reserved =
        mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(reserved != MAP_FAILED);
    CHECK(mprotect(reserved + MEBIBYTES(64), MEBIBYTES(32), PROT_READ | PROT_WRITE | PROT_EXEC) ==
          0);
    CHECK(mprotect(reserved, bytes, PROT_READ | PROT_WRITE) == 0);
    fill(reserved, bytes, 2);
    fill(reserved + MEBIBYTES(64), MEBIBYTES(1), 3);
    expect_filled(reserved, bytes, 2);
    CHECK(madvise(reserved, bytes, MADV_HUGEPAGE) == 0);
    CHECK(munmap(reserved, bytes) == 0);
    CHECK(munmap(reserved + bytes, room - bytes) == 0);
    return 0;
}
