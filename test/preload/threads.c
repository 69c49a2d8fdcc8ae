/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that map, fill, check and unmap at the same time. */
#include "check.h"

#include <pthread.h>
#include <sys/mman.h>

enum { threads = 4, rounds = 12 };

static void* work(void* argument) {
    const uint64_t salt = (uintptr_t)argument;
    for (uint64_t round = 0; round < rounds; ++round) {
        const size_t bytes = MEBIBYTES(8 + 2 * ((salt + round) % 4));
        char* memory =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(memory != MAP_FAILED);
        char* block = malloc(MEBIBYTES(9));
        CHECK(block != NULL);
        fill(memory, bytes, salt + round);
        fill(block, MEBIBYTES(9), salt * round);
        expect_filled(memory, bytes, salt + round);
        expect_filled(block, MEBIBYTES(9), salt * round);
        free(block);
        CHECK(munmap(memory, bytes) == 0);
    }
    return NULL;
}

int main(void) {
    pthread_t started[threads];
    for (uintptr_t i = 0; i < threads; ++i)
        CHECK(pthread_create(&started[i], NULL, work, (void*)(i + 1)) == 0);
    for (int i = 0; i < threads; ++i)
        CHECK(pthread_join(started[i], NULL) == 0);
    return 0;
}
