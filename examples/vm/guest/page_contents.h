/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What a page of the guest holds: a function of the seed, the page's number and its generation, so
 * that a page that was lost, mixed up with another or taken back in time is told from a good one.
 *
 * A generation's lower eight bits count changes of the page's first word, the header; the other
 * bits count changes of all of it. Zero pages and pages filled with one word have no header.
 */

#include <stdbool.h>
#include <stdint.h>

enum { page_size = 4096, page_words = page_size / sizeof(uint64_t) };

struct page_mix {
    uint64_t seed;
    unsigned zero_percent;   /* nothing but zeros */
    unsigned same_percent;   /* one word, repeated */
    unsigned random_percent; /* incompressible */
    unsigned ratio_percent;  /* the rest compresses by this: 200 is 2:1 */
};

/* Well mixed bits of a number. */
uint64_t mixed(uint64_t number);

/* All of the page anew. */
void page_write(const struct page_mix* mix, uint64_t* words, uint64_t page, uint32_t generation);

/* The least that makes a page of `generation` - 1 one of `generation`. */
void page_touch(const struct page_mix* mix, uint64_t* words, uint64_t page, uint32_t generation);

/* The first word that is not as it should be, -1 if the page is good. */
int page_check(const struct page_mix* mix, const uint64_t* words, uint64_t page,
               uint32_t generation);

/* Only the first word: what a benchmark can afford at every touch. */
bool header_good(const struct page_mix* mix, const uint64_t* words, uint64_t page,
                 uint32_t generation);
