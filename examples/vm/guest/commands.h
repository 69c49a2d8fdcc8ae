/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What the host asks for, a line each:
 *
 *   mix [seed=N] [zero=PERCENT] [same=PERCENT] [random=PERCENT] [ratio=PERCENT]
 *                               contents of pages that are filled from now on
 *   fill SIZE [threads=N]       the memory under test grows to SIZE: 100M, or 90%, of what is free
 *   shrink SIZE                 its end is given back to the guest's kernel
 *   verify [threads=N]          every byte of it
 *   damage pages=N              a bit changes in so many pages, for verify to notice
 *   touch uniform|zipf|sequential [seconds=S] [touches=N] [writes=PERCENT] [whole] [threads=N]
 *         [period=S]            a line of progress every S seconds
 *   disk-read SIZE, disk-check, disk-write SIZE
 *   memory                      what the guest's kernel says it has
 *   sync TEXT                   TEXT back
 *   reboot, poweroff
 *
 * Each is answered by its results and then by `done command=NAME bad=PAGES`.
 */

struct memory;

/* Carries one line out. */
void command_run(struct memory* memory, char* line);
