/* SPDX-License-Identifier: BSD-3-Clause */
/* controlled [daemon]: fills memory, says so, and checks it at each line it is given. As a daemon
 * it first leaves its parent, which ends. */
#include "check.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that never manages anything must not disturb the socket. */
static void fork_idly(void) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        exit(0); /* runs what is to be run at exit */
    CHECK(waitpid(child, NULL, 0) == child);
}

int main(int count, char** arguments) {
    if (count > 1 && strcmp(arguments[1], "daemon") == 0 && fork() != 0)
        return 0;
    const size_t bytes = MEBIBYTES(48);
    char line[64];
    puts("started");
    fflush(stdout);
    CHECK(fgets(line, sizeof line, stdin) != NULL);
    char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    fill(memory, bytes, 3);
    fork_idly();
    puts("filled");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        expect_filled(memory, bytes, 3);
        puts("verified");
        fflush(stdout);
    }
    return 0;
}
