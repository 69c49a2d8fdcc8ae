/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest RAM from a memfd: contents stay on DONTNEED and go where a hole is punched, and nothing
 * else may have the file, whose contents are gone with the memory. */
#include "guest_ram.h"

#include <errno.h>
#include <fcntl.h>

static void punch(int fd, char* memory, size_t bytes) {
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MEBIBYTES(8), MEBIBYTES(8)) ==
          0);
    expect_zeros(memory + MEBIBYTES(8), MEBIBYTES(8));
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 5000) == 0);
    expect_zeros(memory + 100, 5000);
    CHECK(memory[99] != 0 || memory[96] != 0);
    fill(memory, bytes, 4);
}

static void shared_memory(size_t bytes) {
    const int fd = memory_file(bytes);
    char* memory = guest_ram(fd, bytes, MAP_SHARED);
    fill(memory, bytes, 3);
    CHECK(madvise(memory, bytes, MADV_DONTNEED) == 0);
    CHECK(fallocate(fd, 0, 0, (off_t)bytes) == 0);
    CHECK(posix_fallocate(fd, 0, (off_t)bytes) == 0);
    expect_filled(memory, bytes, 3);
    punch(fd, memory, bytes);
    CHECK(madvise(memory + MEBIBYTES(8), MEBIBYTES(8), MADV_REMOVE) == 0);
    expect_zeros(memory + MEBIBYTES(8), MEBIBYTES(8));
    expect_filled(memory, MEBIBYTES(8), 4);
    CHECK(mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
    CHECK(ftruncate(fd, MEBIBYTES(1)) != 0 && errno == EPERM);
    CHECK(munmap(memory, bytes) == 0);
    CHECK(mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EBADF);
    close(fd);
}

static void private_memory(size_t bytes) {
    const int fd = memory_file(bytes);
    char* memory = guest_ram(fd, bytes, MAP_PRIVATE);
    fill(memory, bytes, 5);
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0);
    expect_filled(memory, bytes, 5);
    CHECK(madvise(memory, bytes, MADV_DONTNEED) == 0);
    expect_zeros(memory, bytes);
    CHECK(munmap(memory, bytes) == 0);
    close(fd);
}

int main(void) {
    const size_t bytes = MEBIBYTES(48);
    shared_memory(bytes);
    private_memory(bytes);
    char* memory = guest_ram(-1, bytes, MAP_SHARED | MAP_ANONYMOUS);
    fill(memory, bytes, 6);
    expect_filled(memory, bytes, 6);
    /* What the program has not said that it keeps to itself stays shared. */
    char* other = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(other != MAP_FAILED && mlock(other, page_bytes) == 0);
    return 0;
}
