// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The system calls behind the functions that are intercepted.

#include <cstddef>
#include <cstdint>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

namespace preload::raw {

inline void* map(void* address, std::size_t bytes, int protection, int flags, int fd,
                 off_t offset) noexcept {
    return reinterpret_cast<void*>( // NOLINT(performance-no-int-to-ptr)
        ::syscall(SYS_mmap, address, bytes, protection, flags, fd, offset));
}
inline int unmap(void* address, std::size_t bytes) noexcept {
    return static_cast<int>(::syscall(SYS_munmap, address, bytes));
}
inline void* remap(void* address, std::size_t before, std::size_t after, int flags,
                   void* target) noexcept {
    return reinterpret_cast<void*>( // NOLINT(performance-no-int-to-ptr)
        ::syscall(SYS_mremap, address, before, after, flags, target));
}
inline int advise(void* address, std::size_t bytes, int advice) noexcept {
    return static_cast<int>(::syscall(SYS_madvise, address, bytes, advice));
}
inline int protect(void* address, std::size_t bytes, int protection) noexcept {
    return static_cast<int>(::syscall(SYS_mprotect, address, bytes, protection));
}

inline int allocate(int fd, int mode, off_t offset, off_t bytes) noexcept {
    return static_cast<int>(::syscall(SYS_fallocate, fd, mode, offset, bytes));
}
inline int truncate(int fd, off_t bytes) noexcept {
    return static_cast<int>(::syscall(SYS_ftruncate, fd, bytes));
}

} // namespace preload::raw
