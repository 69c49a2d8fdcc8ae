/* SPDX-License-Identifier: BSD-3-Clause */
#include "phase.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdalign.h>
#include <unistd.h>

#include "report.h"

enum { poll_us = 20000, cache_line = 64, batch = 64 };
static const double usual_period = 1;

struct worker {
    const struct phase* phase;
    struct order order;
    alignas(cache_line) atomic_ulong done;
    atomic_bool ended;
    pthread_t thread;
    unsigned number;
};

/* Workers are large, and phases run one after the other. */
static struct worker workers[most_threads];
static atomic_bool stop;

static const char* name_of(const struct phase* phase) {
    switch (phase->kind) {
    case fill_pages:
        return "fill";
    case verify_pages:
        return "verify";
    default:
        return pattern_name(phase->pattern);
    }
}

static void count(struct worker* worker) {
    const unsigned long done = atomic_load_explicit(&worker->done, memory_order_relaxed);
    atomic_store_explicit(&worker->done, done + 1, memory_order_relaxed);
}

static void fill_one(struct memory* memory, uint64_t page) {
    memory->generations[page] = 0;
    page_write(&memory->mix, page_at(memory, page), page, 0);
}

/* Threads take pages in turns, so that all of them are in the same part of the memory. */
static void go_through(struct worker* worker) {
    const struct phase* phase = worker->phase;
    for (uint64_t page = phase->begin + worker->number; page < phase->end; page += phase->threads) {
        if (phase->kind == fill_pages)
            fill_one(phase->memory, page);
        else
            memory_check(phase->memory, page);
        count(worker);
    }
}

static void change(struct memory* memory, uint64_t page, bool whole) {
    const uint32_t old = memory->generations[page];
    const uint32_t next = whole ? (old | 0xff) + 1 : old + 1;
    page_touch(&memory->mix, page_at(memory, page), page, next);
    memory->generations[page] = next;
}

/* A page belongs to one thread: contents and generation change without a lock. */
static void touch(struct worker* worker) {
    const struct phase* phase = worker->phase;
    const uint64_t most = phase->touches == 0 ? UINT64_MAX : phase->touches / phase->threads + 1;
    for (uint64_t i = 0; i < most; ++i) {
        if (i % batch == 0 && atomic_load_explicit(&stop, memory_order_relaxed))
            return;
        const uint64_t page = order_next(&worker->order);
        if (phase->whole_pages)
            memory_check(phase->memory, page);
        else
            memory_glance(phase->memory, page);
        if (phase->write_percent != 0 && order_random(&worker->order) % 100 < phase->write_percent)
            change(phase->memory, page, phase->whole_pages);
        count(worker);
    }
}

static void* work(void* argument) {
    struct worker* worker = argument;
    if (worker->phase->kind == touch_pages)
        touch(worker);
    else
        go_through(worker);
    atomic_store(&worker->ended, true);
    return NULL;
}

static void start(struct worker* worker, const struct phase* phase, unsigned number) {
    worker->phase = phase;
    worker->number = number;
    atomic_store(&worker->done, 0);
    atomic_store(&worker->ended, false);
    if (phase->kind == touch_pages)
        order_begin(&worker->order, phase->pattern, phase->memory->pages, number, phase->threads,
                    phase->memory->mix.seed + phase->memory->generations[0]);
    if (pthread_create(&worker->thread, NULL, work, worker) != 0)
        fail("a thread cannot be started");
}

static uint64_t done_by_all(const struct phase* phase) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < phase->threads; ++i)
        sum += atomic_load_explicit(&workers[i].done, memory_order_relaxed);
    return sum;
}

static bool all_ended(const struct phase* phase) {
    for (unsigned i = 0; i < phase->threads; ++i)
        if (!atomic_load(&workers[i].ended))
            return false;
    return true;
}

static void tell(const struct phase* phase, const char* suffix, double seconds) {
    report("%s phase=%s pages=%" PRIu64 " of=%" PRIu64 " threads=%u seconds=%.3f bad=%lu", suffix,
           name_of(phase), done_by_all(phase),
           phase->kind == touch_pages ? phase->touches : phase->end - phase->begin, phase->threads,
           seconds, atomic_load(&phase->memory->bad));
}

static void watch(const struct phase* phase, double begin) {
    const double period = phase->period > 0 ? phase->period : usual_period;
    double next = period;
    while (!all_ended(phase)) {
        usleep(poll_us);
        const double passed = now() - begin;
        if (phase->seconds > 0 && passed >= phase->seconds)
            atomic_store_explicit(&stop, true, memory_order_relaxed);
        if (passed < next)
            continue;
        tell(phase, "progress", passed);
        next += period;
    }
}

struct phase_result phase_run(const struct phase* phase) {
    atomic_store(&stop, false);
    const double begin = now();
    for (unsigned i = 0; i < phase->threads; ++i)
        start(&workers[i], phase, i);
    watch(phase, begin);
    for (unsigned i = 0; i < phase->threads; ++i)
        pthread_join(workers[i].thread, NULL);
    const struct phase_result result = {done_by_all(phase), now() - begin};
    tell(phase, "result", result.seconds);
    return result;
}
