// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/embedder_memory.hpp"

#include <cerrno>
#include <cstring>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include "uffdmm/result.hpp"

namespace overcommit {
namespace {

[[noreturn]] void fail(const char* call) {
    const int error = errno;
    throw uffdmm::setup_error(
        uffdmm::errc::system,
        std::string("--memory embedder: ") + call + ": " + std::strerror(error), error);
}

} // namespace

embedder_memory::embedder_memory(uffdmm::byte_count size, uffdmm::backing kind) : size_(size) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    if (kind == uffdmm::backing::shared_memory) {
        fd_ = ::memfd_create("guest-ram", MFD_CLOEXEC);
        if (fd_ < 0 || ::ftruncate(fd_, static_cast<off_t>(size)) != 0)
            fail("memfd_create");
        flags = MAP_SHARED;
    }
    address_ = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd_, 0);
    if (address_ == MAP_FAILED)
        fail("mmap");
}

embedder_memory::~embedder_memory() {
    ::munmap(address_, size_);
    if (fd_ >= 0)
        ::close(fd_);
}

} // namespace overcommit
