/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Guest RAM as VMMs make it: addresses reserved, memory mapped over them, the rest given back, and
 * MADV_DONTFORK. */

#include "check.h"

#include <sys/mman.h>
#include <unistd.h>

/* Mapped, but not said to be the program's alone. */
static inline char* guest_mapping(int fd, size_t bytes, int flags) {
    const size_t room = bytes + MEBIBYTES(2);
    char* reserved = (char*)mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(reserved != MAP_FAILED);
    char* memory = reserved + MEBIBYTES(1);
    CHECK(mmap(memory, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) == memory);
    CHECK(munmap(reserved, MEBIBYTES(1)) == 0);
    CHECK(munmap(memory + bytes, MEBIBYTES(1)) == 0);
    CHECK(madvise(memory, bytes, MADV_HUGEPAGE) == 0);
    return memory;
}

static inline char* guest_ram(int fd, size_t bytes, int flags) {
    char* memory = guest_mapping(fd, bytes, flags);
    CHECK(madvise(memory, bytes, MADV_DONTFORK) == 0);
    return memory;
}

static inline int memory_file(size_t bytes) {
    const int fd = memfd_create("memory", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
    return fd;
}
