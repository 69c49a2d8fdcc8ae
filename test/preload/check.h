/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Memory with contents of its own on every page, for programs that run under uffdmm-run. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { page_bytes = 4096 };
#define MEBIBYTES(n) ((size_t)(n) << 20)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static inline uint64_t word_of(size_t page, size_t word, uint64_t salt) {
    return (page * 512 + word) * UINT64_C(0x9e3779b97f4a7c15) * (word % 4 == 0) + page + salt;
}

static inline void fill(void* memory, size_t bytes, uint64_t salt) {
    uint64_t* words = (uint64_t*)memory;
    for (size_t i = 0; i < bytes / sizeof *words; ++i)
        words[i] = word_of(i / 512, i % 512, salt);
}

static inline void expect_filled(const void* memory, size_t bytes, uint64_t salt) {
    const uint64_t* words = (const uint64_t*)memory;
    for (size_t i = 0; i < bytes / sizeof *words; ++i)
        CHECK(words[i] == word_of(i / 512, i % 512, salt));
}

static inline void expect_zeros(const void* memory, size_t bytes) {
    const uint64_t* words = (const uint64_t*)memory;
    for (size_t i = 0; i < bytes / sizeof *words; ++i)
        CHECK(words[i] == 0);
}
