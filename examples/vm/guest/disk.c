/* SPDX-License-Identifier: BSD-3-Clause */
#include "disk.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include <sys/mman.h>

#include "memory.h"
#include "report.h"

static const char path[] = "/dev/vda";
static const uint64_t chunk = 1 << 20;

static unsigned char* buffer;
static uint64_t buffer_bytes;

/* The polynomial of zlib and Ethernet, a byte at a time. */
static uint32_t crc32_of(const unsigned char* data, uint64_t bytes) {
    static uint32_t table[256];
    if (table[1] == 0) {
        for (uint32_t i = 0; i < 256; ++i) {
            uint32_t value = i;
            for (unsigned bit = 0; bit < 8; ++bit)
                value = (value & 1) != 0 ? 0xedb88320 ^ (value >> 1) : value >> 1;
            table[i] = value;
        }
    }
    uint32_t crc = UINT32_MAX;
    for (uint64_t i = 0; i < bytes; ++i)
        crc = table[(crc ^ data[i]) & 0xff] ^ (crc >> 8);
    return ~crc;
}

static int open_disk(int flags) {
    const int fd = open(path, flags | O_DIRECT | O_CLOEXEC);
    if (fd < 0)
        fail("the guest has no disk");
    return fd;
}

static void new_buffer(uint64_t bytes) {
    if (buffer_bytes == bytes)
        return;
    if (buffer != NULL)
        munmap(buffer, buffer_bytes);
    buffer = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED)
        fail("no memory for what the disk holds");
    buffer_bytes = bytes;
}

static void tell(const char* name, const void* data, uint64_t bytes, double seconds) {
    report("%s bytes=%" PRIu64 " seconds=%.3f crc32=%08" PRIx32, name, bytes, seconds,
           crc32_of(data, bytes));
}

void disk_read(uint64_t bytes) {
    const int fd = open_disk(O_RDONLY);
    const double begin = now();
    new_buffer(bytes);
    for (uint64_t at = 0; at < bytes; at += chunk)
        if (pread(fd, buffer + at, chunk, (off_t)at) != (ssize_t)chunk)
            fail("the disk cannot be read");
    close(fd);
    tell("disk-read", buffer, bytes, now() - begin);
}

void disk_check(void) {
    tell("disk-check", buffer, buffer_bytes, 0);
}

void disk_write(const struct memory* memory, uint64_t bytes) {
    const int fd = open_disk(O_WRONLY);
    const unsigned char* data = (const unsigned char*)memory->words;
    const double begin = now();
    for (uint64_t at = 0; at < bytes; at += chunk)
        if (pwrite(fd, data + at, chunk, (off_t)at) != (ssize_t)chunk)
            fail("the disk cannot be written");
    fsync(fd);
    close(fd);
    tell("disk-write", data, bytes, now() - begin);
}
