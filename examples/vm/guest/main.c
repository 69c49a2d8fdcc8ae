/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The guest's only program, started by `init`. From the kernel's command line, by way of the
 * environment:
 *
 *   uffdmm_script="COMMAND; COMMAND; ..."    carried out first, results on the console
 *   uffdmm_port=/dev/ttyS1                   then commands from this port, results to it
 *
 * Without a port the guest switches itself off after the script.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <sys/reboot.h>

#include "commands.h"
#include "memory.h"
#include "report.h"

static void run_script(struct memory* memory, char* script) {
    char* rest = NULL;
    for (char* line = strtok_r(script, ";", &rest); line != NULL; line = strtok_r(NULL, ";", &rest))
        command_run(memory, line);
}

static int open_port(const char* path) {
    struct termios mode;
    const int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        fail("the port cannot be opened");
    if (tcgetattr(fd, &mode) == 0) {
        cfmakeraw(&mode);
        tcsetattr(fd, TCSANOW, &mode);
    }
    return fd;
}

static void serve(struct memory* memory, const char* path) {
    char line[256];
    const int fd = open_port(path);
    FILE* port = fdopen(fd, "r");
    report_to(fd);
    report("ready seconds=%.3f", now());
    while (fgets(line, sizeof line, port) != NULL)
        command_run(memory, line);
    fail("the port is closed");
}

int main(void) {
    static struct memory memory = {.mix = {.seed = 1,
                                           .zero_percent = 3,
                                           .same_percent = 7,
                                           .random_percent = 20,
                                           .ratio_percent = 300}};
    char* script = getenv("uffdmm_script");
    const char* port = getenv("uffdmm_port");
    memory_reserve(&memory);
    report("started seconds=%.3f memory=%llu", now(), (unsigned long long)guest_memory("MemTotal"));
    if (script != NULL)
        run_script(&memory, script);
    if (port != NULL)
        serve(&memory, port);
    char last[] = "poweroff";
    command_run(&memory, last);
}
