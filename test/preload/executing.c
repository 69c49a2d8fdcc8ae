/* SPDX-License-Identifier: BSD-3-Clause */
/* executing HOW PROGRAM: executes it by that call, with arguments and environment of its own. */
#include "check.h"

#include <fcntl.h>
#include <libgen.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

static int wait_for(pid_t child) {
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int start(const char* how, const char* program) {
    char* words[] = {"heir", "two words", "last", NULL};
    char* environment[] = {"KEPT=yes", "LD_PRELOAD=libm.so.6", NULL};
    const char* name = strrchr(program, '/') + 1;
    pid_t child = 0;
    if (strcmp(how, "execve") == 0)
        execve(program, words, environment);
    else if (strcmp(how, "execv") == 0)
        execv(program, words);
    else if (strcmp(how, "execvp") == 0)
        execvp(name, words);
    else if (strcmp(how, "execvpe") == 0)
        execvpe(name, words, environment);
    else if (strcmp(how, "execl") == 0)
        execl(program, "heir", "two words", "last", NULL);
    else if (strcmp(how, "execlp") == 0)
        execlp(name, "heir", "two words", "last", NULL);
    else if (strcmp(how, "execle") == 0)
        execle(program, "heir", "two words", "last", NULL, environment);
    else if (strcmp(how, "fexecve") == 0)
        fexecve(open(program, O_RDONLY), words, environment);
    else if (strcmp(how, "execveat") == 0)
        execveat(AT_FDCWD, program, words, environment, 0);
    else if (strcmp(how, "posix_spawn") == 0)
        CHECK(posix_spawn(&child, program, NULL, NULL, words, environment) == 0);
    else if (strcmp(how, "posix_spawnp") == 0)
        CHECK(posix_spawnp(&child, name, NULL, NULL, words, environment) == 0);
    else if (strcmp(how, "vfork") == 0 && (child = vfork()) == 0)
        _exit(execve(program, words, environment));
    return child == 0 ? 1 : wait_for(child);
}

int main(int count, char** arguments) {
    CHECK(count == 3);
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", arguments[2]);
    CHECK(setenv("PATH", dirname(folder), 1) == 0);
    CHECK(setenv("KEPT", "yes", 1) == 0 && setenv("LD_PRELOAD", "libm.so.6", 1) == 0);
    return start(arguments[1], arguments[2]);
}
