/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of every kind that could be managed. Whatever becomes of each, it holds what is written to
 * it. */
#include "guest_ram.h"

static const size_t bytes = MEBIBYTES(12);

static void use(char* memory, uint64_t salt) {
    CHECK(memory != NULL && memory != MAP_FAILED);
    fill(memory, bytes, salt);
    expect_filled(memory, bytes, salt);
}

static char* map(size_t size, int protection, int flags, int fd) {
    char* memory = mmap(NULL, size, protection, flags, fd, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

static int named_file(const char* name) {
    const int fd = memfd_create(name, MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
    return fd;
}

int main(void) {
    const int read_write = PROT_READ | PROT_WRITE;
    use(map(bytes, read_write, MAP_PRIVATE | MAP_ANONYMOUS, -1), 1);
    use(guest_ram(named_file("told"), bytes, MAP_SHARED), 2);
    use(map(bytes, read_write, MAP_SHARED, named_file("untold")), 3);
    use(map(bytes, read_write, MAP_SHARED | MAP_ANONYMOUS, -1), 4);
    char* reserved = map(MEBIBYTES(64), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    CHECK(mprotect(reserved, bytes, read_write) == 0);
    use(reserved, 5);
    (void)map(MEBIBYTES(16), read_write | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    char* block = malloc(bytes);
    use(block, 6);
    free(block);
    char* small = map(MEBIBYTES(2), read_write, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    memset(small, 7, MEBIBYTES(2));
    return 0;
}
