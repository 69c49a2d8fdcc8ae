/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/reboot.h>

#include "disk.h"
#include "memory.h"
#include "phase.h"
#include "report.h"

enum { most_words = 12, mib_shift = 20 };

/* A line in words. `words[0]` is the command. */
struct request {
    unsigned count;
    char* words[most_words];
};

static struct request split(char* line) {
    struct request request = {0};
    char* rest = NULL;
    for (char* word = strtok_r(line, " \t\r\n", &rest); word != NULL && request.count < most_words;
         word = strtok_r(NULL, " \t\r\n", &rest))
        request.words[request.count++] = word;
    return request;
}

/* The text behind `name=`, NULL where it is not given. */
static const char* text_of(const struct request* request, const char* name) {
    const size_t length = strlen(name);
    for (unsigned i = 1; i < request->count; ++i)
        if (strncmp(request->words[i], name, length) == 0 && request->words[i][length] == '=')
            return request->words[i] + length + 1;
    return NULL;
}

static double number_of(const struct request* request, const char* name, double otherwise) {
    const char* text = text_of(request, name);
    return text == NULL ? otherwise : strtod(text, NULL);
}

static bool has_word(const struct request* request, const char* word) {
    for (unsigned i = 1; i < request->count; ++i)
        if (strcmp(request->words[i], word) == 0)
            return true;
    return false;
}

static unsigned threads_of(const struct request* request) {
    const double threads = number_of(request, "threads", 1);
    if (threads < 1 || threads > most_threads)
        fail("threads: not allowed");
    return (unsigned)threads;
}

/* "100M", "4K", "1G" or "90%" of `whole`, in bytes; only whole units of 1 MiB count. */
static uint64_t size_of(const struct request* request, uint64_t whole) {
    char* unit = NULL;
    if (request->count < 2)
        fail("a size is missing");
    const uint64_t number = strtoull(request->words[1], &unit, 10);
    uint64_t bytes = number;
    if (*unit == '%')
        bytes = whole / 100 * number;
    else if (*unit == 'G')
        bytes = number << 30;
    else if (*unit == 'M')
        bytes = number << 20;
    return bytes >> mib_shift << mib_shift;
}

static void run_mix(struct memory* memory, const struct request* request) {
    const struct page_mix old = memory->mix;
    const char* seed = text_of(request, "seed");
    memory->mix = (struct page_mix){
        .seed = seed == NULL ? old.seed : strtoull(seed, NULL, 0),
        .zero_percent = (unsigned)number_of(request, "zero", old.zero_percent),
        .same_percent = (unsigned)number_of(request, "same", old.same_percent),
        .random_percent = (unsigned)number_of(request, "random", old.random_percent),
        .ratio_percent = (unsigned)number_of(request, "ratio", old.ratio_percent),
    };
    if (memory->mix.ratio_percent <= 100)
        fail("ratio: must be above 100");
}

static void run_fill(struct memory* memory, const struct request* request) {
    const uint64_t filled = memory->pages * page_size;
    const uint64_t wanted = size_of(request, guest_memory("MemAvailable") + filled) / page_size;
    const uint64_t begin = memory->pages;
    memory->pages = wanted < memory->most_pages ? wanted : memory->most_pages;
    if (memory->pages < begin)
        memory->pages = begin;
    phase_run(&(struct phase){.kind = fill_pages,
                              .memory = memory,
                              .threads = threads_of(request),
                              .begin = begin,
                              .end = memory->pages});
}

static void run_shrink(struct memory* memory, const struct request* request) {
    memory_shrink(memory, size_of(request, memory->pages * page_size) / page_size);
}

static void run_verify(struct memory* memory, const struct request* request) {
    phase_run(&(struct phase){.kind = verify_pages,
                              .memory = memory,
                              .threads = threads_of(request),
                              .end = memory->pages});
}

static void run_damage(struct memory* memory, const struct request* request) {
    const uint64_t pages = (uint64_t)number_of(request, "pages", 1);
    if (pages == 0 || pages > memory->pages)
        fail("damage: pages= must be 1 to what is filled");
    memory_damage(memory, pages);
}

static void run_touch(struct memory* memory, const struct request* request) {
    struct phase phase = {.kind = touch_pages,
                          .memory = memory,
                          .threads = threads_of(request),
                          .seconds = number_of(request, "seconds", 0),
                          .touches = (uint64_t)number_of(request, "touches", 0),
                          .write_percent = (unsigned)number_of(request, "writes", 0),
                          .whole_pages = has_word(request, "whole"),
                          .period = number_of(request, "period", 0)};
    if (request->count < 2 || !pattern_named(request->words[1], &phase.pattern))
        fail("touch: allowed are uniform, zipf, sequential");
    if (memory->pages < phase.threads)
        fail("touch: nothing is filled");
    if (phase.seconds <= 0 && phase.touches == 0)
        fail("touch: needs seconds= or touches=");
    phase_run(&phase);
}

static void run_disk_read(struct memory* memory, const struct request* request) {
    (void)memory;
    disk_read(size_of(request, 0));
}

static void run_disk_check(struct memory* memory, const struct request* request) {
    (void)memory;
    (void)request;
    disk_check();
}

static void run_disk_write(struct memory* memory, const struct request* request) {
    const uint64_t bytes = size_of(request, memory->pages * page_size);
    if (bytes > memory->pages * page_size)
        fail("disk-write: more than is filled");
    disk_write(memory, bytes);
}

static void run_memory(struct memory* memory, const struct request* request) {
    (void)request;
    report("memory total=%" PRIu64 " free=%" PRIu64 " available=%" PRIu64 " filled=%" PRIu64,
           guest_memory("MemTotal"), guest_memory("MemFree"), guest_memory("MemAvailable"),
           memory->pages * page_size);
}

static void run_sync(struct memory* memory, const struct request* request) {
    (void)memory;
    report("sync %s", request->count > 1 ? request->words[1] : "");
}

static void leave(int how) {
    sync();
    reboot(how);
    fail("the guest does not end");
}

static void run_reboot(struct memory* memory, const struct request* request) {
    (void)request;
    report("reboot bad=%lu", atomic_load(&memory->bad));
    leave(RB_AUTOBOOT);
}

static void run_poweroff(struct memory* memory, const struct request* request) {
    (void)request;
    report("poweroff bad=%lu", atomic_load(&memory->bad));
    leave(RB_POWER_OFF);
}

static const struct command {
    const char* name;
    void (*run)(struct memory*, const struct request*);
} commands[] = {
    {"mix", run_mix},
    {"fill", run_fill},
    {"shrink", run_shrink},
    {"verify", run_verify},
    {"damage", run_damage},
    {"touch", run_touch},
    {"disk-read", run_disk_read},
    {"disk-check", run_disk_check},
    {"disk-write", run_disk_write},
    {"memory", run_memory},
    {"sync", run_sync},
    {"reboot", run_reboot},
    {"poweroff", run_poweroff},
};

void command_run(struct memory* memory, char* line) {
    const struct request request = split(line);
    if (request.count == 0)
        return;
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; ++i) {
        if (strcmp(request.words[0], commands[i].name) == 0) {
            commands[i].run(memory, &request);
            report("done command=%s bad=%lu", request.words[0], atomic_load(&memory->bad));
            return;
        }
    }
    fail("there is no such command");
}
