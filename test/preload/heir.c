/* SPDX-License-Identifier: BSD-3-Clause */
/* Has memory to manage, and an environment without what tells of the library. Prints LD_PRELOAD. */
#include "check.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char** arguments) {
    const size_t bytes = MEBIBYTES(48);
    CHECK(count == 3 && strcmp(arguments[1], "two words") == 0);
    CHECK(strcmp(arguments[2], "last") == 0);
    CHECK(getenv("UFFDMM_RUN_CONFIG") == NULL && getenv("UFFDMM_RUN_CONTROL") == NULL);
    CHECK(getenv("KEPT") != NULL && strcmp(getenv("KEPT"), "yes") == 0);
    char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    fill(memory, bytes, 1);
    expect_filled(memory, bytes, 1);
    puts(getenv("LD_PRELOAD") == NULL ? "none" : getenv("LD_PRELOAD"));
    fflush(stdout);
    /* It is the program that was meant: what it starts is not managed. */
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "test -z \"$UFFDMM_RUN_CONFIG$UFFDMM_RUN_STATS\"", NULL);
        _exit(1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}
