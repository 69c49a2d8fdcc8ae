// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/detail/mapping.hpp"

#include <cerrno>
#include <cstring>
#include <sys/mman.h>

#include "uffdmm/result.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {
namespace {

std::size_t round_up(std::size_t bytes) {
    return (bytes + page_size - 1) & ~(page_size - 1);
}

[[noreturn]] void fail(const char* what, std::size_t bytes, int os_errno) {
    throw setup_error(os_errno == ENOMEM ? errc::no_memory : errc::system,
                      std::string(what) + " of " + std::to_string(bytes) +
                          " bytes failed: " + ::strerrordesc_np(os_errno),
                      os_errno);
}

} // namespace

mapping mapping::anonymous(std::size_t bytes) {
    const std::size_t size = round_up(bytes);
    void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
        fail("mmap of anonymous memory", size, errno);
    mapping owner(static_cast<std::byte*>(data), size);
    // Huge pages would defeat the accounting; a kernel without them answers EINVAL.
    (void)::madvise(data, size, MADV_NOHUGEPAGE);
    if (::madvise(data, size, MADV_DONTFORK) != 0)
        fail("madvise(MADV_DONTFORK)", size, errno);
    return owner;
}

mapping mapping::on_demand(std::size_t bytes) {
    mapping owner = anonymous(bytes);
    (void)::munlock(owner.data_, owner.size_);
    (void)owner.give_back(0, owner.size_);
    return owner;
}

mapping mapping::shared(int fd, std::size_t bytes, std::size_t offset) {
    const std::size_t size = round_up(bytes);
    void* data =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(offset));
    if (data == MAP_FAILED)
        fail("mmap of shared memory", size, errno);
    mapping owner(static_cast<std::byte*>(data), size);
    if (::madvise(data, size, MADV_DONTFORK) != 0)
        fail("madvise(MADV_DONTFORK)", size, errno);
    return owner;
}

bool mapping::give_back(std::size_t offset, std::size_t bytes) noexcept {
    return ::madvise(data_ + offset, bytes, MADV_DONTNEED) == 0;
}

mapping::~mapping() {
    if (data_ != nullptr)
        ::munmap(data_, size_);
}

} // namespace uffdmm
