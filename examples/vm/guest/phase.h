/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Work on the memory under test by several threads, with a line of progress now and then. */

#include "memory.h"
#include "patterns.h"

enum { most_threads = 8 };

enum phase_kind { fill_pages, verify_pages, touch_pages };

struct phase {
    enum phase_kind kind;
    struct memory* memory;
    unsigned threads;
    uint64_t begin, end; /* pages, for filling and verifying */

    /* For touching only. */
    enum pattern pattern;
    double seconds;         /* 0: until `touches` are done */
    uint64_t touches;       /* of all threads; 0: until the time is over */
    unsigned write_percent; /* of touches that change the page */
    bool whole_pages;       /* check and write all of a page, not its header only */
    double period;          /* seconds from one line of progress to the next; 0: 1 */
};

struct phase_result {
    uint64_t touches;
    double seconds;
};

/* Runs it to its end and reports `NAME-done ...`. */
struct phase_result phase_run(const struct phase* phase);
