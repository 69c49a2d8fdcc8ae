/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The guest's disk, past its page cache: the device reads and writes the program's memory. */

#include <stdint.h>

struct memory;

/* Reads the first `bytes` of the disk into a buffer of its own; reports their CRC-32. */
void disk_read(uint64_t bytes);

/* Reports the CRC-32 of the buffer as it is in memory by now. */
void disk_check(void);

/* Writes the first `bytes` of the memory under test to the disk; reports their CRC-32. */
void disk_write(const struct memory* memory, uint64_t bytes);
