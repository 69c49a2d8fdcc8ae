/* SPDX-License-Identifier: BSD-3-Clause */
#include "patterns.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "page_contents.h"

static const double exponent = 0.99;
static const char* const names[] = {"uniform", "zipf", "sequential"};

bool pattern_named(const char* name, enum pattern* found) {
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; ++i) {
        if (strcmp(name, names[i]) == 0) {
            *found = (enum pattern)i;
            return true;
        }
    }
    return false;
}

const char* pattern_name(enum pattern pattern) {
    return names[pattern];
}

static uint64_t common_divisor(uint64_t a, uint64_t b) {
    while (b != 0) {
        const uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The golden section of the pages, or the next number that is coprime. */
static uint64_t coprime_step(uint64_t pages) {
    uint64_t step = pages * 618 / 1000 + 1;
    while (common_divisor(pages, step) != 1)
        ++step;
    return step;
}

/* Ranks up to x have the share (x^(1-s) - 1) / (n^(1-s) - 1), with the sum taken as an integral. */
static void rank_pages(struct order* order) {
    const double power = 1 - exponent;
    const double most = pow((double)order->pages + 1, power) - 1;
    order->step = coprime_step(order->pages);
    for (unsigned i = 0; i <= quantile_count; ++i) {
        const double share = (double)i / quantile_count;
        const double rank = pow(1 + share * most, 1 / power) - 1;
        order->quantiles[i] = (uint32_t)fmin(rank, (double)order->pages);
    }
}

void order_begin(struct order* order, enum pattern pattern, uint64_t pages, uint64_t first,
                 uint64_t stride, uint64_t seed) {
    order->pattern = pattern;
    order->pages = (pages - first + stride - 1) / stride;
    order->first = first;
    order->stride = stride;
    order->place = 0;
    order->state = mixed(seed + first) | 1;
    if (pattern == zipf)
        rank_pages(order);
}

uint64_t order_random(struct order* order) {
    order->state ^= order->state << 13;
    order->state ^= order->state >> 7;
    order->state ^= order->state << 17;
    return order->state * 0x2545f4914f6cdd1d;
}

/* A number below `most` from the upper half of random bits. */
static uint64_t below(uint64_t random, uint64_t most) {
    return ((random >> 32) * most) >> 32;
}

static uint64_t zipf_place(struct order* order) {
    const uint64_t random = order_random(order);
    const uint32_t* quantile = order->quantiles + random % quantile_count;
    const uint64_t rank = quantile[0] + below(random, quantile[1] - quantile[0] + 1);
    return (rank % order->pages) * order->step % order->pages;
}

uint64_t order_next(struct order* order) {
    uint64_t place;
    switch (order->pattern) {
    case zipf:
        place = zipf_place(order);
        break;
    case uniform:
        place = below(order_random(order), order->pages);
        break;
    default:
        place = order->place++ % order->pages;
    }
    return order->first + place * order->stride;
}
