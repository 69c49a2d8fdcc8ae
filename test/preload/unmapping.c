/* SPDX-License-Identifier: BSD-3-Clause */
/* Unmapping a part leaves the rest; what is mapped next is zeros; mremap keeps contents. */
#include "check.h"

#include <sys/mman.h>

static char* map(size_t bytes) {
    char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

static void unmap_parts(size_t bytes) {
    char* memory = map(bytes);
    fill(memory, bytes, 1);
    CHECK(munmap(memory, bytes / 4) == 0);
    CHECK(munmap(memory + bytes / 4 * 3, bytes / 4) == 0);
    uint64_t first = 0;
    memcpy(&first, memory + bytes / 4, sizeof first);
    CHECK(first == word_of(bytes / 4 / page_bytes, 0, 1));
    CHECK(munmap(memory + bytes / 4, bytes / 2) == 0);
    char* again = map(bytes);
    expect_zeros(again, bytes);
    CHECK(munmap(again, bytes) == 0);
}

static void remap(void) {
    char* memory = map(MEBIBYTES(16));
    char* behind = map(MEBIBYTES(16));
    fill(memory, MEBIBYTES(16), 2);
    memory = mremap(memory, MEBIBYTES(16), MEBIBYTES(24), MREMAP_MAYMOVE);
    CHECK(memory != MAP_FAILED);
    expect_filled(memory, MEBIBYTES(16), 2);
    expect_zeros(memory + MEBIBYTES(16), MEBIBYTES(8));
    fill(memory, MEBIBYTES(24), 3);
    CHECK(mremap(memory, MEBIBYTES(24), MEBIBYTES(12), 0) == memory);
    expect_filled(memory, MEBIBYTES(12), 3);
    CHECK(munmap(memory, MEBIBYTES(12)) == 0);
    CHECK(munmap(behind, MEBIBYTES(16)) == 0);
}

int main(void) {
    for (int i = 0; i < 3; ++i) {
        unmap_parts(MEBIBYTES(16)); /* in a shared area */
        unmap_parts(MEBIBYTES(96)); /* in an area of its own */
        remap();
    }
    return 0;
}
