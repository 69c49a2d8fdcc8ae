/* SPDX-License-Identifier: BSD-3-Clause */
/* not_alone HOW: guest RAM that cannot be managed without harm. It must be refused when the program
 * says that it is its own, or be left as it is: then it holds what was written to it, and whoever
 * shares it sees the same. */
#include "guest_ram.h"

#include <sys/socket.h>
#include <sys/wait.h>

static const size_t bytes = MEBIBYTES(48);

static void send_descriptor(int fd) {
    int ends[2];
    char control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec data = {"x", 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(part), &fd, sizeof fd);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK(sendmsg(ends[0], &message, 0) == 1);
}

static void sent(void) {
    const int fd = memory_file(bytes);
    send_descriptor(fd);
    char* memory = guest_ram(fd, bytes, MAP_SHARED);
    memory[0] = 'y';
    char* again = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(again != MAP_FAILED && again[0] == 'y');
}

static void forked(int fd, int flags) {
    int pipes[2];
    char byte = 0;
    CHECK(pipe(pipes) == 0);
    char* memory = guest_mapping(fd, bytes, flags);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(pipes[1]); /* a refused parent ends the wait */
        CHECK(read(pipes[0], &byte, 1) == 1);
        _exit(memory[5] == 'z' ? 7 : 1);
    }
    CHECK(madvise(memory, bytes, MADV_DONTFORK) == 0);
    memory[5] = 'z';
    CHECK(write(pipes[1], "x", 1) == 1);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void touched(int fd, int flags) {
    char* memory = guest_mapping(fd, bytes, flags);
    memory[MEBIBYTES(3)] = 't';
    CHECK(madvise(memory, bytes, MADV_DONTFORK) == 0);
    CHECK(memory[MEBIBYTES(3)] == 't');
}

static void twice(void) {
    const int fd = memory_file(bytes);
    char* other = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    char* memory = guest_ram(fd, bytes, MAP_SHARED);
    memory[0] = 'w';
    CHECK(other[0] == 'w');
}

static void contents(void) {
    const int fd = memory_file(bytes);
    CHECK(pwrite(fd, "c", 1, MEBIBYTES(5)) == 1);
    char* memory = guest_ram(fd, bytes, MAP_PRIVATE);
    CHECK(memory[MEBIBYTES(5)] == 'c');
}

static void named(void) {
    char path[] = "/dev/shm/uffdmm-test-XXXXXX";
    const int fd = mkstemp(path);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
    if (fork() == 0) { /* goes when the program is gone */
        sleep(1);
        unlink(path);
        _exit(0);
    }
    char* memory = guest_ram(fd, bytes, MAP_SHARED);
    memory[9] = 'n';
    char byte = 0;
    CHECK(pread(fd, &byte, 1, 9) == 1 && byte == 'n');
}

int main(int count, char** arguments) {
    CHECK(count == 2);
    const char* how = arguments[1];
    if (strcmp(how, "sent") == 0)
        sent();
    else if (strcmp(how, "forked-memfd") == 0)
        forked(memory_file(bytes), MAP_SHARED);
    else if (strcmp(how, "forked-anonymous") == 0)
        forked(-1, MAP_SHARED | MAP_ANONYMOUS);
    else if (strcmp(how, "touched-anonymous") == 0)
        touched(-1, MAP_SHARED | MAP_ANONYMOUS);
    else if (strcmp(how, "touched-private") == 0)
        touched(memory_file(bytes), MAP_PRIVATE);
    else if (strcmp(how, "twice") == 0)
        twice();
    else if (strcmp(how, "contents") == 0)
        contents();
    else if (strcmp(how, "named") == 0)
        named();
    else
        CHECK(!"a way that there is");
    puts("unharmed");
    return 0;
}
