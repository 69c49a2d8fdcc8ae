// SPDX-License-Identifier: BSD-3-Clause
#include "support/bare_uffd.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/userfaultfd_abi.hpp"

namespace uffdmm::bench {
namespace {

[[noreturn]] void give_up(const char* what) {
    std::fprintf(stderr, "benchmark: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

std::uint64_t address_of(const std::byte* at) {
    return reinterpret_cast<std::uintptr_t>(at);
}

int open_descriptor() {
    const int device = ::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (device < 0)
        return static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
    const int fd = ::ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
    ::close(device);
    return fd;
}

template <typename Argument>
void call(int fd, unsigned long request, Argument& argument, const char* name) {
    if (::ioctl(fd, request, &argument) != 0)
        give_up(name);
}

} // namespace

bare_memory::bare_memory(page_count pages) : pages_(pages) {
    void* const at = ::mmap(nullptr, bytes_of(pages), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        give_up("mmap");
    data_ = static_cast<std::byte*>(at);
    (void)::madvise(data_, bytes_of(pages), MADV_NOHUGEPAGE);
}

bare_memory::~bare_memory() {
    ::munmap(data_, bytes_of(pages_));
}

void bare_memory::discard() const {
    if (::madvise(data_, bytes_of(pages_), MADV_DONTNEED) != 0)
        give_up("madvise");
}

bare_uffd::bare_uffd(const bare_memory& memory, std::uint64_t modes) : fd_(open_descriptor()) {
    if (fd_ < 0)
        give_up("userfaultfd");
    uffdio_api api{};
    api.api = UFFD_API;
    api.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_MOVE;
    call(fd_, UFFDIO_API, api, "UFFDIO_API");
    uffdio_register range{};
    range.range = {address_of(memory.page(0)), bytes_of(memory.pages())};
    range.mode = modes;
    call(fd_, UFFDIO_REGISTER, range, "UFFDIO_REGISTER");
}

bare_uffd::~bare_uffd() {
    ::close(fd_);
}

std::byte* bare_uffd::read() const {
    uffd_msg message;
    if (::read(fd_, &message, sizeof message) != sizeof message)
        return nullptr;
    return reinterpret_cast<std::byte*>(message.arg.pagefault.address & ~(page_size - 1));
}

void bare_uffd::zeropage(std::byte* to, page_count n) const {
    uffdio_zeropage argument{};
    argument.range = {address_of(to), bytes_of(n)};
    call(fd_, UFFDIO_ZEROPAGE, argument, "UFFDIO_ZEROPAGE");
}

void bare_uffd::copy(std::byte* to, const std::byte* from, page_count n) const {
    uffdio_copy argument{};
    argument.dst = address_of(to);
    argument.src = address_of(from);
    argument.len = bytes_of(n);
    call(fd_, UFFDIO_COPY, argument, "UFFDIO_COPY");
}

void bare_uffd::move(std::byte* to, const std::byte* from, page_count n) const {
    uffdio_move argument{};
    argument.dst = address_of(to);
    argument.src = address_of(from);
    argument.len = bytes_of(n);
    argument.mode = UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES;
    call(fd_, UFFDIO_MOVE, argument, "UFFDIO_MOVE");
}

void bare_uffd::protect(std::byte* at, page_count n, bool on) const {
    uffdio_writeprotect argument{};
    argument.range = {address_of(at), bytes_of(n)};
    argument.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0;
    call(fd_, UFFDIO_WRITEPROTECT, argument, "UFFDIO_WRITEPROTECT");
}

} // namespace uffdmm::bench
