/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Orders in which pages are touched. Integers only: floating point is slow without hardware. */

#include <stdbool.h>
#include <stdint.h>

enum pattern { uniform, zipf, sequential };

bool pattern_named(const char* name, enum pattern* found);
const char* pattern_name(enum pattern pattern);

enum { quantile_count = 8192 };

/* One thread's way through the pages whose number leaves rest `first` divided by `stride`. */
struct order {
    enum pattern pattern;
    uint64_t pages, first, stride, place, state;
    uint64_t step;                          /* coprime with pages: scatters the ranking */
    uint32_t quantiles[quantile_count + 1]; /* of Zipf's law with exponent 0.99: ranks */
};

void order_begin(struct order* order, enum pattern pattern, uint64_t pages, uint64_t first,
                 uint64_t stride, uint64_t seed);
uint64_t order_random(struct order* order);
uint64_t order_next(struct order* order);
