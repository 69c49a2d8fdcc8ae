/* SPDX-License-Identifier: BSD-3-Clause */
/* A child of fork has none of the managed memory, can go on otherwise, and can start a program,
 * which runs without the library. The parent's memory is as it was. */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int status_of(pid_t child) {
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

static void child(char* memory, size_t bytes) {
    char* block = malloc(MEBIBYTES(20)); /* large, and plain here */
    CHECK(block != NULL);
    memset(block, 1, MEBIBYTES(20));
    free(block);
    CHECK(madvise(memory, bytes, MADV_DONTNEED) != 0); /* nothing is mapped there */
    execl("/bin/sh", "sh", "-c", "test -z \"$LD_PRELOAD$UFFDMM_RUN_CONFIG\" && exit 7", NULL);
}

/* A child that goes on with the parent's data ends, and never sees other contents. */
static void expect_nothing_in_child(const char* memory) {
    const pid_t forked = fork();
    CHECK(forked >= 0);
    if (forked == 0) {
        int pipes[2];
        if (pipe(pipes) != 0 || write(pipes[1], memory, 1) != -1 || errno != EFAULT)
            _exit(1);
        _exit(((const volatile char*)memory)[0] == 0 ? 2 : 3);
    }
    const int status = status_of(forked);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

int main(void) {
    const size_t bytes = MEBIBYTES(48);
    char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    fill(memory, bytes, 1);
    const pid_t forked = fork();
    CHECK(forked >= 0);
    if (forked == 0) {
        child(memory, bytes);
        _exit(1);
    }
    const int status = status_of(forked);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);

    expect_nothing_in_child(memory);
    expect_nothing_in_child(memory + bytes - 1);

    pid_t spawned = 0;
    char* words[] = {"true", NULL};
    char* environment[] = {NULL};
    CHECK(posix_spawn(&spawned, "/bin/true", NULL, NULL, words, environment) == 0);
    CHECK(status_of(spawned) == 0);

    expect_filled(memory, bytes, 1);
    CHECK(system("exit 3") == 3 << 8);
    return 0;
}
