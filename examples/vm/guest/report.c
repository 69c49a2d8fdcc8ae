/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/reboot.h>

static int out = STDOUT_FILENO;

void report_to(int fd) {
    out = fd;
}

/* In one piece, so that lines of several threads do not mix. */
static void put(const char* text, size_t length) {
    while (length > 0) {
        const ssize_t done = write(out, text, length);
        if (done <= 0)
            return;
        text += done;
        length -= (size_t)done;
    }
}

void report(const char* format, ...) {
    char line[512] = "uffdmm: ";
    const size_t begin = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + begin, sizeof line - begin - 1, format, arguments);
    va_end(arguments);
    strcat(line, "\n");
    put(line, strlen(line));
}

void fail(const char* why) {
    report("failed why=\"%s\"", why);
    sync();
    reboot(RB_POWER_OFF);
    _exit(1);
}

double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}
