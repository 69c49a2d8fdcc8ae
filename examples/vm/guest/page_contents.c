/* SPDX-License-Identifier: BSD-3-Clause */
#include "page_contents.h"

enum page_kind { zero_page, same_page, random_page, compressible_page };

/* Steps of splitmix64: an odd constant whose multiples are spread evenly. */
static const uint64_t golden = 0x9e3779b97f4a7c15;

uint64_t mixed(uint64_t number) {
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
    number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
    return number ^ (number >> 31);
}

static uint64_t body_key(const struct page_mix* mix, uint64_t page, uint32_t generation) {
    return mixed(mix->seed + golden * (page + 1) + mixed(generation >> 8));
}

static uint64_t header_of(uint64_t key, uint32_t generation) {
    return mixed(key + golden * (generation & 0xff));
}

static enum page_kind kind_of(const struct page_mix* mix, uint64_t key) {
    unsigned place = (unsigned)(key >> 32) % 100;
    if (place < mix->zero_percent)
        return zero_page;
    place -= mix->zero_percent;
    if (place < mix->same_percent)
        return same_page;
    place -= mix->same_percent;
    return place < mix->random_percent ? random_page : compressible_page;
}

/* Words of incompressible contents at the beginning of a page; the rest repeats one word. */
static unsigned random_words(const struct page_mix* mix, enum page_kind kind) {
    switch (kind) {
    case zero_page:
    case same_page:
        return 0;
    case random_page:
        return page_words;
    default:
        return page_words * 100 / mix->ratio_percent;
    }
}

static uint64_t fill_word(enum page_kind kind, uint64_t key, uint32_t generation) {
    if (kind == zero_page)
        return 0;
    return kind == same_page ? header_of(key, generation) : key;
}

void page_write(const struct page_mix* mix, uint64_t* words, uint64_t page, uint32_t generation) {
    const uint64_t key = body_key(mix, page, generation);
    const enum page_kind kind = kind_of(mix, key);
    const unsigned random = random_words(mix, kind);
    const uint64_t fill = fill_word(kind, key, generation);
    for (unsigned i = 0; i < random; ++i)
        words[i] = mixed(key + golden * i);
    for (unsigned i = random; i < page_words; ++i)
        words[i] = fill;
    if (random != 0)
        words[0] = header_of(key, generation);
}

void page_touch(const struct page_mix* mix, uint64_t* words, uint64_t page, uint32_t generation) {
    const uint64_t key = body_key(mix, page, generation);
    const bool body_changed = (generation & 0xff) == 0;
    if (body_changed || random_words(mix, kind_of(mix, key)) == 0)
        page_write(mix, words, page, generation);
    else
        words[0] = header_of(key, generation);
}

int page_check(const struct page_mix* mix, const uint64_t* words, uint64_t page,
               uint32_t generation) {
    const uint64_t key = body_key(mix, page, generation);
    const enum page_kind kind = kind_of(mix, key);
    const unsigned random = random_words(mix, kind);
    const uint64_t fill = fill_word(kind, key, generation);
    if (random != 0 && words[0] != header_of(key, generation))
        return 0;
    for (unsigned i = 1; i < random; ++i)
        if (words[i] != mixed(key + golden * i))
            return (int)i;
    for (unsigned i = random; i < page_words; ++i)
        if (words[i] != fill)
            return (int)i;
    return -1;
}

bool header_good(const struct page_mix* mix, const uint64_t* words, uint64_t page,
                 uint32_t generation) {
    const uint64_t key = body_key(mix, page, generation);
    return words[0] == (kind_of(mix, key) == zero_page ? 0 : header_of(key, generation));
}
