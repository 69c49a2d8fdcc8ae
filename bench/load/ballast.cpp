// SPDX-License-Identifier: BSD-3-Clause

/// compare-ballast: takes up memory that the kernel cannot swap, as much as it is told.
///
/// Reads sizes in bytes, one a line, and answers each with the size once it holds that much. In a
/// memory control group it stands for memory that the kernel uses on the group's behalf without
/// charging it. Lowering the group's limit instead does not work: the kernel reclaims until usage
/// is below the new limit, which never happens while a process takes the memory as fast.

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include <sys/mman.h>

namespace {

constexpr std::size_t page_size = 4096;
constexpr std::size_t most = std::size_t{1} << 40;

class ballast {
  public:
    ballast()
        : data_(
              static_cast<std::byte*>(::mmap(nullptr, most, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
        ::madvise(data_, most, MADV_NOHUGEPAGE);
    }

    [[nodiscard]] bool usable() const { return data_ != MAP_FAILED; }

    /// Grows by locking, which brings the pages in; shrinks by giving them back.
    [[nodiscard]] bool resize(std::size_t size) {
        if (size > size_ && ::mlock(data_ + size_, size - size_) != 0)
            return false;
        if (size < size_ && (::munlock(data_ + size, size_ - size) != 0 ||
                             ::madvise(data_ + size, size_ - size, MADV_DONTNEED) != 0))
            return false;
        size_ = size;
        return true;
    }

  private:
    std::byte* data_;
    std::size_t size_ = 0;
};

} // namespace

int main() {
    // First what is there already, so that no part of this program is swapped: its size is
    // constant.
    const bool locked = ::mlockall(MCL_CURRENT) == 0;
    ballast held;
    bool good = locked && held.usable();
    for (std::size_t size = 0; good && std::scanf("%zu", &size) == 1;) {
        good = size <= most && held.resize(size / page_size * page_size);
        if (good)
            std::printf("%zu\n", size);
        std::fflush(stdout);
    }
    if (!good)
        std::fprintf(stderr, "compare-ballast: %s\n", std::strerror(errno));
    return good ? 0 : 2;
}
