/* SPDX-License-Identifier: BSD-3-Clause */
/* A program that becomes a daemon before it has any large memory, as QEMU does: its child is
 * managed. */
#include "check.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child != 0) {
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    CHECK(setsid() > 0);
    const size_t bytes = MEBIBYTES(48);
    char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    fill(memory, bytes, 1);
    expect_filled(memory, bytes, 1);
    return 0;
}
