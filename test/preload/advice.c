/* SPDX-License-Identifier: BSD-3-Clause */
/* MADV_DONTNEED and MADV_FREE give zeros; advice that would fight the library changes nothing. */
#include "check.h"

#include <sys/mman.h>

int main(void) {
    const size_t bytes = MEBIBYTES(48);
    const size_t part = MEBIBYTES(16);
    char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    fill(memory, bytes, 1);
    CHECK(madvise(memory + part, part, MADV_DONTNEED) == 0);
    expect_zeros(memory + part, part);
    fill(memory + part, part, 5);
    CHECK(madvise(memory + part, part, MADV_FREE) == 0);
    expect_zeros(memory + part, part);
    CHECK(madvise(memory, bytes, MADV_HUGEPAGE) == 0);
    CHECK(madvise(memory, bytes, MADV_WILLNEED) == 0);
    CHECK(madvise(memory, bytes, MADV_MERGEABLE) == 0);
    CHECK(posix_madvise(memory, bytes, POSIX_MADV_DONTNEED) == 0);
    CHECK(mlock(memory, bytes) == 0);
    CHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
    expect_filled(memory, part, 1);
    CHECK(mprotect(memory, part, PROT_READ) == 0);
    fill(memory + part, 2 * part, 6);
    expect_filled(memory, part, 1);
    CHECK(munmap(memory, bytes) == 0);
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(memory, bytes, 8);
    expect_filled(memory, bytes, 8);
    return 0;
}
