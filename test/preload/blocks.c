/* SPDX-License-Identifier: BSD-3-Clause */
/* Large blocks of malloc, and small ones beside them. */
#include "check.h"

#include <malloc.h>

static void grow_and_shrink(void) {
    char* block = malloc(100);
    CHECK(block != NULL);
    memset(block, 'a', 100);
    block = realloc(block, MEBIBYTES(20));
    CHECK(block != NULL);
    for (int i = 0; i < 100; ++i)
        CHECK(block[i] == 'a');
    fill(block, MEBIBYTES(20), 1);
    block = realloc(block, MEBIBYTES(44));
    CHECK(block != NULL);
    expect_filled(block, MEBIBYTES(20), 1);
    fill(block, MEBIBYTES(44), 2);
    block = realloc(block, MEBIBYTES(1));
    CHECK(block != NULL);
    expect_filled(block, MEBIBYTES(1), 2);
    free(block);
}

int main(void) {
    char* block = malloc(MEBIBYTES(48) + 5);
    CHECK(block != NULL);
    CHECK(malloc_usable_size(block) >= MEBIBYTES(48) + 5);
    fill(block, MEBIBYTES(48), 3);
    expect_filled(block, MEBIBYTES(48), 3);
    free(block);

    char* zeros = calloc(12, MEBIBYTES(1));
    CHECK(zeros != NULL);
    expect_zeros(zeros, MEBIBYTES(12));
    free(zeros);

    void* aligned = NULL;
    CHECK(posix_memalign(&aligned, MEBIBYTES(2), MEBIBYTES(10)) == 0);
    CHECK((uintptr_t)aligned % MEBIBYTES(2) == 0);
    fill(aligned, MEBIBYTES(10), 4);
    expect_filled(aligned, MEBIBYTES(10), 4);
    free(aligned);
    aligned = aligned_alloc(MEBIBYTES(4), MEBIBYTES(12));
    CHECK(aligned != NULL && (uintptr_t)aligned % MEBIBYTES(4) == 0);
    free(aligned);

    grow_and_shrink();
    return 0;
}
