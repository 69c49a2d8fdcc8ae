/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Lines for the host: `uffdmm: NAME key=value ...`. Any thread may report. */

/* Where lines go from now on: the console until said otherwise. */
void report_to(int fd);

__attribute__((format(printf, 1, 2))) void report(const char* format, ...);

/* Reports `failed why=...` and switches the guest off. */
__attribute__((noreturn)) void fail(const char* why);

/* Seconds since the guest started. */
double now(void);
