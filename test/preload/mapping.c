/* SPDX-License-Identifier: BSD-3-Clause */
/* A mapping larger than the budget keeps what is written to it. */
#include "check.h"

#include <sys/mman.h>

int main(void) {
    const size_t bytes = MEBIBYTES(64);
    char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    CHECK(memory != MAP_FAILED);
    for (uint64_t round = 0; round < 3; ++round) {
        fill(memory, bytes, round);
        expect_filled(memory, bytes, round);
    }
    CHECK(munmap(memory, bytes) == 0);
    return 0;
}
