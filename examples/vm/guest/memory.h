/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The memory under test: a range of addresses of which the first `pages` pages are filled. */

#include <stdatomic.h>

#include "page_contents.h"

struct memory {
    struct page_mix mix;
    uint64_t* words;       /* page_words for each page */
    uint32_t* generations; /* of each page */
    uint64_t pages;
    uint64_t most_pages; /* addresses are reserved for so many */
    atomic_ulong bad;    /* pages found with wrong contents, since the start */
};

/* Reserves addresses for as much as the guest has. Ends the program where it cannot. */
void memory_reserve(struct memory* memory);

static inline uint64_t* page_at(const struct memory* memory, uint64_t page) {
    return memory->words + page * page_words;
}

/* Checks all of a page, tells of it if it is bad, and mends it so that it is told once. */
void memory_check(struct memory* memory, uint64_t page);

/* The same for its header only. */
void memory_glance(struct memory* memory, uint64_t page);

/* Changes a bit in so many pages, spread evenly, which a check has to notice. */
void memory_damage(struct memory* memory, uint64_t count);

/* Gives pages from `pages` on back to the guest's kernel. */
void memory_shrink(struct memory* memory, uint64_t pages);

/* Bytes of the guest by a name in /proc/meminfo, e.g. "MemAvailable". */
uint64_t guest_memory(const char* name);
