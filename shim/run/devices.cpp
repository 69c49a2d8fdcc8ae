// SPDX-License-Identifier: BSD-3-Clause

/// The intercepted calls by which a device gets at the program's memory for good: it pins all of
/// it, so that nothing could be evicted, or has the pages of a memfd, which has none. Such devices
/// are refused when they are opened, and where a program has them open already (from a manager that
/// passes descriptors), when managed memory is given to them.

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <linux/ioctl.h>
#include <unistd.h>

#include "run/direct_io.hpp"
#include "run/managed_space.hpp"
#include "run/next_io.hpp"
#include "run/tell.hpp"

namespace {

using namespace preload;

struct device {
    std::string_view path; ///< up to a number
    const char* remedy;
};

constexpr std::array devices{
    device{"/dev/vfio/", "it pins all guest memory; leave out -device vfio-*"},
    device{"/dev/iommu", "it pins all guest memory; leave out -object iommufd and -device vfio-*"},
    device{"/dev/vhost-vdpa", "it pins all guest memory; leave out -netdev vhost-vdpa and "
                              "-device vhost-vdpa-device-*"},
    device{"/dev/infiniband/", "RDMA pins guest memory; migrate by tcp:, not by rdma:"},
    device{"/dev/udmabuf", "it takes pages of guest memory that are not there; leave out blob=on "
                           "of virtio-gpu"},
    device{"/dev/sev", "it pins all guest memory; leave out -object sev-guest"},
};

const device* refused_device(const char* path) noexcept {
    if (path == nullptr || path[0] != '/')
        return nullptr;
    const std::string_view text(path);
    for (const device& d : devices)
        if (text.starts_with(d.path))
            return &d;
    return nullptr;
}

/// Whether opening it fails, with EPERM.
bool refuses_open(const char* path) noexcept {
    managed_space* const s = space_in_use();
    const device* const d = s == nullptr ? nullptr : refused_device(path);
    if (d == nullptr)
        return false;
    const bool refused = refuses(*s);
    tell("%s to open %s: %s, or run without uffdmm-run", refused ? "refuses" : "would refuse", path,
         d->remedy);
    if (refused)
        errno = EPERM;
    return refused;
}

/// By way of /proc a program can open again what only names its file: a descriptor with access to
/// the memory of a managed file, which is not there.
int checked(int fd) noexcept {
    managed_space* const s = space_in_use();
    file_identity file;
    if (fd < 0 || s == nullptr || !s->has_stand_ins() || !identify(fd, file) ||
        !s->stands_in_for(file))
        return fd;
    s->counts().add(count::refused);
    tell("refuses to open \"%s\" again: its contents are managed memory, not in the file",
         inspect(fd).name.data());
    (void)::close(fd);
    errno = EPERM;
    return -1;
}

// Cancellation points are not noexcept: a cancelled thread leaves them by unwinding.
int open_file(const char* path, int flags, mode_t mode) {
    if (refuses_open(path) || refuses_direct_io(path, flags))
        return -1;
    const int fd = next_io().open(path, flags, mode);
    return (flags & O_PATH) != 0 ? fd : checked(fd);
}

int open_file_at(int directory, const char* path, int flags, mode_t mode) {
    if (refuses_open(path) || refuses_direct_io(path, flags))
        return -1;
    const int fd = next_io().openat(directory, path, flags, mode);
    return (flags & O_PATH) != 0 ? fd : checked(fd);
}

// ---- descriptors that were open before ----------------------------------------------------------

/// Where in a call's argument the memory is that a device gets.
struct memory_call {
    std::uint32_t request;
    std::size_t address_at; ///< of 64 bits, in bytes
    std::size_t size_at;
    const char* name;
};

constexpr std::array memory_calls{
    memory_call{_IO(';', 113), 8, 24, "VFIO_IOMMU_MAP_DMA"},
    memory_call{_IO(';', 0x85), 16, 24, "IOMMU_IOAS_MAP"},
    memory_call{_IOR(0xAE, 0xbb, std::uint64_t[2]), 0, 8, "KVM_MEMORY_ENCRYPT_REG_REGION"},
};

std::uint64_t number_at(const void* argument, std::size_t offset) noexcept {
    std::uint64_t number = 0;
    std::memcpy(&number, static_cast<const std::byte*>(argument) + offset, sizeof number);
    return number;
}

/// Whether the call fails, with EPERM.
bool refuses_call(std::uint32_t request, const void* argument) noexcept {
    for (const memory_call& call : memory_calls) {
        if (call.request != request || argument == nullptr)
            continue;
        managed_space* const s = space_in_use();
        const std::uint64_t address = number_at(argument, call.address_at);
        const std::uint64_t bytes = number_at(argument, call.size_at);
        if (s == nullptr || !s->touches(reinterpret_cast<void*>(address), bytes)) // NOLINT
            return false;
        s->counts().add(count::refused);
        tell("refuses %s of managed memory: the device would pin it; leave out the device, or run "
             "without uffdmm-run",
             call.name);
        errno = EPERM;
        return true;
    }
    return false;
}

} // namespace

#define INTERCEPTED extern "C" __attribute__((visibility("default")))

/// The argument that is there where a file may be made.
#define MODE_OF(flags, mode)                                                                       \
    mode_t mode = 0;                                                                               \
    if (((flags) & (O_CREAT | O_TMPFILE)) != 0) {                                                  \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        (mode) = va_arg(arguments, mode_t);                                                        \
        va_end(arguments);                                                                         \
    }

// By their symbols: with 64-bit file offsets the headers make one name of two.
INTERCEPTED int intercepted_open(const char* path, int flags, ...) __asm__("open");
INTERCEPTED int intercepted_open64(const char* path, int flags, ...) __asm__("open64");
INTERCEPTED int intercepted_openat(int directory, const char* path, int flags,
                                   ...) __asm__("openat");
INTERCEPTED int intercepted_openat64(int directory, const char* path, int flags,
                                     ...) __asm__("openat64");
// What fortified programs call.
INTERCEPTED int intercepted_open_2(const char* path, int flags) __asm__("__open_2");
INTERCEPTED int intercepted_open64_2(const char* path, int flags) __asm__("__open64_2");
INTERCEPTED int intercepted_openat_2(int directory, const char* path,
                                     int flags) __asm__("__openat_2");
INTERCEPTED int intercepted_openat64_2(int directory, const char* path,
                                       int flags) __asm__("__openat64_2");
INTERCEPTED int intercepted_ioctl(int fd, unsigned long request, ...) noexcept __asm__("ioctl");

int intercepted_open(const char* path, int flags, ...) {
    MODE_OF(flags, mode)
    return open_file(path, flags, mode);
}
int intercepted_open64(const char* path, int flags, ...) {
    MODE_OF(flags, mode)
    return open_file(path, flags, mode);
}
int intercepted_openat(int directory, const char* path, int flags, ...) {
    MODE_OF(flags, mode)
    return open_file_at(directory, path, flags, mode);
}
int intercepted_openat64(int directory, const char* path, int flags, ...) {
    MODE_OF(flags, mode)
    return open_file_at(directory, path, flags, mode);
}
int intercepted_open_2(const char* path, int flags) {
    return open_file(path, flags, 0);
}
int intercepted_open64_2(const char* path, int flags) {
    return open_file(path, flags, 0);
}
int intercepted_openat_2(int directory, const char* path, int flags) {
    return open_file_at(directory, path, flags, 0);
}
int intercepted_openat64_2(int directory, const char* path, int flags) {
    return open_file_at(directory, path, flags, 0);
}

int intercepted_ioctl(int fd, unsigned long request, ...) noexcept {
    va_list arguments;
    va_start(arguments, request);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    return refuses_call(static_cast<std::uint32_t>(request), argument)
               ? -1
               : next_io().ioctl(fd, request, argument);
}
