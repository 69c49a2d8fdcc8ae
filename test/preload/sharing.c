/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls that would hand managed memory to others, who would see something else or pin it: each is
 * refused with an errno, or served by copying, and the memory is as it was. */
#include "guest_ram.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define REFUSED(call, error) CHECK((call) == -1 && errno == (error))

struct rights {
    struct msghdr message;
    char control[CMSG_SPACE(2 * sizeof(int))];
    struct iovec data;
    char byte;
};

/* A message of one byte with two descriptors. */
static void prepare(struct rights* sent, int first, int second) {
    const int descriptors[2] = {first, second};
    memset(sent, 0, sizeof *sent);
    sent->data = (struct iovec){&sent->byte, 1};
    sent->message.msg_iov = &sent->data;
    sent->message.msg_iovlen = 1;
    sent->message.msg_control = sent->control;
    sent->message.msg_controllen = sizeof sent->control;
    struct cmsghdr* part = CMSG_FIRSTHDR(&sent->message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof descriptors);
    memcpy(CMSG_DATA(part), descriptors, sizeof descriptors);
}

static void sending(int fd, int other) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    struct rights one;
    prepare(&one, other, fd);
    REFUSED(sendmsg(ends[0], &one.message, 0), EPERM);
    prepare(&one, other, other);
    CHECK(sendmsg(ends[0], &one.message, 0) == 1);

    struct rights many[2];
    prepare(&many[0], other, other);
    prepare(&many[1], fd, other);
    struct mmsghdr messages[2];
    memset(messages, 0, sizeof messages);
    messages[0].msg_hdr = many[0].message;
    messages[1].msg_hdr = many[1].message;
    CHECK(sendmmsg(ends[0], messages, 2, 0) == 1); /* the one before */
    REFUSED(sendmmsg(ends[0], &messages[1], 1, 0), EPERM);
    char byte;
    CHECK(recv(ends[1], &byte, 1, 0) == 1 && recv(ends[1], &byte, 1, 0) == 1);
    CHECK(recv(ends[1], &byte, 1, MSG_DONTWAIT) == -1); /* nothing else was sent */
    close(ends[0]);
    close(ends[1]);
}

static void devices(void) {
    REFUSED(open("/dev/vfio/vfio", O_RDWR), EPERM);
    REFUSED(open64("/dev/vfio/7", O_RDWR), EPERM);
    REFUSED(openat(AT_FDCWD, "/dev/iommu", O_RDWR), EPERM);
    REFUSED(openat64(AT_FDCWD, "/dev/vhost-vdpa-0", O_RDWR), EPERM);
    REFUSED(open("/dev/infiniband/uverbs0", O_RDWR), EPERM);
    REFUSED(open("/dev/udmabuf", O_RDWR), EPERM);
    REFUSED(open("/dev/sev", O_RDWR), EPERM);
    const int made = open("/tmp", O_TMPFILE | O_RDWR, 0600); /* the mode arrives */
    CHECK(made >= 0 && (fcntl(made, F_GETFL) & O_ACCMODE) == O_RDWR);
    close(made);
    const int null = open("/dev/null", O_RDWR);
    CHECK(null >= 0);
    close(null);
}

/* Descriptors of devices that came from elsewhere. Here the kernel would say ENOTTY. */
static void device_calls(char* memory, size_t bytes) {
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    const uint64_t at = (uintptr_t)memory;
    const uint64_t vfio[4] = {32, at, 0, bytes};
    const uint64_t iommufd[5] = {40, 1, at, bytes, 0};
    const uint64_t sev[2] = {at + bytes - page_bytes, page_bytes};
    const uint64_t small[4] = {32, (uintptr_t)&small, 0, page_bytes};
    REFUSED(ioctl(pipes[0], _IO(';', 113), vfio), EPERM);
    REFUSED(ioctl(pipes[0], _IO(';', 0x85), iommufd), EPERM);
    REFUSED(ioctl(pipes[0], _IOR(0xAE, 0xbb, uint64_t[2]), sev), EPERM);
    REFUSED(ioctl(pipes[0], _IO(';', 113), small), ENOTTY);
    int waiting = -1;
    CHECK(write(pipes[1], "abc", 3) == 3 && ioctl(pipes[0], FIONREAD, &waiting) == 0);
    CHECK(waiting == 3);
    close(pipes[0]);
    close(pipes[1]);
}

static void zero_copy(void) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    CHECK(fd >= 0);
    REFUSED(setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on), EOPNOTSUPP);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0);
    close(fd);
}

/* What is in a pipe is what was there at the time of the call. */
static void splicing(char* memory) {
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    struct iovec part = {memory, page_bytes};
    char before[page_bytes];
    char received[page_bytes];
    memcpy(before, memory, page_bytes);
    CHECK(vmsplice(pipes[1], &part, 1, 0) == page_bytes);
    CHECK(vmsplice(pipes[1], &part, 1, SPLICE_F_NONBLOCK) == page_bytes);
    memset(memory, 'x', page_bytes);
    CHECK(read(pipes[0], received, page_bytes) == page_bytes);
    CHECK(memcmp(before, received, page_bytes) == 0);
    CHECK(vmsplice(pipes[0], &part, 1, 0) == page_bytes);
    CHECK(memcmp(before, memory, page_bytes) == 0);
    REFUSED(vmsplice(pipes[0], &part, 1, SPLICE_F_NONBLOCK), EAGAIN);
    close(pipes[0]);
    close(pipes[1]);
}

static void mapping_again(int fd, size_t bytes) {
    char path[64];
    CHECK(mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
    CHECK(mmap(NULL, page_bytes, PROT_READ, MAP_PRIVATE, dup(fd), 0) == MAP_FAILED);
    CHECK(errno == EPERM);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    REFUSED(open(path, O_RDWR), EPERM);
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
    REFUSED(openat(AT_FDCWD, path, O_RDONLY), EPERM);
}

static void transfers(int fd) {
    char byte = 0;
    struct iovec part = {&byte, 1};
    int pipes[2];
    off_t begin = 0;
    const int other = memory_file(page_bytes);
    CHECK(pipe(pipes) == 0 && write(pipes[1], "x", 1) == 1);
    REFUSED(pread(fd, &byte, 1, 0), EPERM);
    REFUSED(pwrite(fd, &byte, 1, 0), EPERM);
    REFUSED(preadv(fd, &part, 1, 0), EPERM);
    REFUSED(pwritev(fd, &part, 1, 0), EPERM);
    REFUSED(sendfile(other, fd, NULL, 1), EPERM);
    REFUSED(sendfile(fd, other, NULL, 1), EPERM);
    REFUSED(copy_file_range(fd, NULL, other, NULL, 1, 0), EPERM);
    REFUSED(copy_file_range(other, NULL, fd, &begin, 1, 0), EPERM);
    REFUSED(splice(fd, NULL, pipes[1], NULL, 1, 0), EPERM);
    REFUSED(splice(pipes[0], NULL, fd, NULL, 1, 0), EPERM);
    REFUSED(read(fd, &byte, 1), EBADF);
    REFUSED(write(fd, &byte, 1), EBADF);
    REFUSED(readv(fd, &part, 1), EBADF);
    REFUSED(writev(fd, &part, 1), EBADF);
    REFUSED(pread(-1, &byte, 1, 0), EBADF);
    CHECK(pwrite(other, "o", 1, 5) == 1 && pread(other, &byte, 1, 5) == 1 && byte == 'o');
    CHECK(sendfile(pipes[1], other, &begin, 6) == 6 && begin == 6);
    close(other);
    close(pipes[0]);
    close(pipes[1]);
}

/* What the kernel copies to and from managed memory faults there, as any access does. */
static void through_the_kernel(char* memory, size_t bytes) {
    const int file = memory_file(bytes);
    CHECK(pwrite(file, memory, bytes, 0) == (ssize_t)bytes);
    memset(memory, 0, bytes);
    CHECK(pread(file, memory, bytes, 0) == (ssize_t)bytes);
    expect_filled(memory, bytes, 9);
    close(file);
}

static int in_child(int fd, size_t bytes, const char* self) {
    if (mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED || errno != EPERM)
        return 2;
    char number[16];
    snprintf(number, sizeof number, "%d", fd);
    if (fcntl(fd, F_SETFD, 0) != 0)
        return 3;
    execl(self, self, "map", number, NULL);
    return 4;
}

static void in_children(int fd, size_t bytes, const char* self) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(in_child(fd, bytes, self));
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int count, char** arguments) {
    if (count == 3) { /* another program, with the descriptor */
        const int fd = atoi(arguments[2]);
        CHECK(mmap(NULL, page_bytes, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
        CHECK(errno == EBADF);
        return 0;
    }
    const size_t bytes = MEBIBYTES(48);
    const int fd = memory_file(bytes);
    const int before = dup(fd);
    const int other = memory_file(page_bytes);
    char* memory = guest_ram(fd, bytes, MAP_SHARED);
    fill(memory, bytes, 9);
    sending(fd, other);
    sending(before, other);
    devices();
    device_calls(memory, bytes);
    zero_copy();
    splicing(memory);
    transfers(fd);
    through_the_kernel(memory, bytes);
    mapping_again(fd, bytes);
    mapping_again(before, bytes);
    in_children(fd, bytes, arguments[0]);
    expect_filled(memory, bytes, 9);
    return 0;
}
