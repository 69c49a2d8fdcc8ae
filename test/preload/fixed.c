/* SPDX-License-Identifier: BSD-3-Clause */
/* A mapping at an address of the program's choice, as VMMs make them; and mapping over it again. */
#include "check.h"

#include <errno.h>
#include <sys/mman.h>

int main(void) {
    const size_t bytes = MEBIBYTES(48);
    char* reserved =
        mmap(NULL, bytes + MEBIBYTES(2), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(reserved != MAP_FAILED);
    char* memory = mmap(reserved + MEBIBYTES(1), bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CHECK(memory == reserved + MEBIBYTES(1));
    fill(memory, bytes, 7);
    expect_filled(memory, bytes, 7);

    CHECK(mmap(memory + MEBIBYTES(8), MEBIBYTES(8), PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == memory + MEBIBYTES(8));
    expect_filled(memory, MEBIBYTES(8), 7);
    expect_zeros(memory + MEBIBYTES(8), MEBIBYTES(8));

    FILE* file = tmpfile();
    CHECK(file != NULL);
    CHECK(mmap(memory, page_bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED, fileno(file), 0) ==
          MAP_FAILED);
    CHECK(errno == EINVAL);
    expect_filled(memory, MEBIBYTES(8), 7);
    CHECK(munmap(memory, bytes) == 0);
    return 0;
}
