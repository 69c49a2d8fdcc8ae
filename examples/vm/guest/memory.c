/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sys/mman.h>

#include "report.h"

enum { most_told = 20 };

uint64_t guest_memory(const char* name) {
    char line[128];
    uint64_t kib = 0;
    const size_t length = strlen(name);
    FILE* file = fopen("/proc/meminfo", "re");
    if (file == NULL)
        fail("/proc/meminfo cannot be read");
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            sscanf(line + length + 1, "%" SCNu64, &kib);
    fclose(file);
    return kib << 10;
}

static void* reserve(uint64_t bytes) {
    void* found = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (found == MAP_FAILED)
        fail("addresses cannot be reserved");
    return found;
}

void memory_reserve(struct memory* memory) {
    memory->most_pages = guest_memory("MemTotal") / page_size;
    memory->words = reserve(memory->most_pages * page_size);
    memory->generations = reserve(memory->most_pages * sizeof(uint32_t));
}

static void tell_bad(struct memory* memory, uint64_t page, int word, uint64_t found) {
    if (atomic_fetch_add(&memory->bad, 1) < most_told)
        report("bad page=%" PRIu64 " generation=%" PRIu32 " word=%d found=%016" PRIx64, page,
               memory->generations[page], word, found);
    page_write(&memory->mix, page_at(memory, page), page, memory->generations[page]);
}

void memory_check(struct memory* memory, uint64_t page) {
    const uint64_t* words = page_at(memory, page);
    const int word = page_check(&memory->mix, words, page, memory->generations[page]);
    if (word >= 0)
        tell_bad(memory, page, word, words[word]);
}

void memory_glance(struct memory* memory, uint64_t page) {
    const uint64_t* words = page_at(memory, page);
    if (!header_good(&memory->mix, words, page, memory->generations[page]))
        tell_bad(memory, page, 0, words[0]);
}

void memory_damage(struct memory* memory, uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
        uint64_t* words = page_at(memory, i * (memory->pages / count));
        words[page_words - 1 - i % page_words] ^= UINT64_C(1) << (i % 64);
    }
}

void memory_shrink(struct memory* memory, uint64_t pages) {
    if (pages >= memory->pages)
        return;
    madvise(page_at(memory, pages), (memory->pages - pages) * page_size, MADV_DONTNEED);
    memset(memory->generations + pages, 0, (memory->pages - pages) * sizeof(uint32_t));
    memory->pages = pages;
}
