// SPDX-License-Identifier: BSD-3-Clause

/// The intercepted calls about mappings.

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <sys/mman.h>

#include "run/inside.hpp"
#include "run/managed_space.hpp"
#include "run/raw_calls.hpp"
#include "run/tell.hpp"

namespace {

using namespace preload;

constexpr int read_write = PROT_READ | PROT_WRITE;
constexpr int fixed_flags = MAP_FIXED | MAP_FIXED_NOREPLACE;

/// The space, unless this thread is the library's, or there is none.
managed_space* the_space() noexcept {
    managed_space* const s = inside ? nullptr : space();
    return s == nullptr || s->forgotten() ? nullptr : s;
}

int fail(int error) noexcept {
    errno = error;
    return -1;
}

/// Why a mapping of that kind stays as it is; nullptr: it can be managed.
const char* unfit(int protection, int flags) noexcept {
    if ((flags & MAP_TYPE) != MAP_PRIVATE)
        return "it is shared";
    if ((flags & MAP_ANONYMOUS) == 0)
        return "it maps a file";
    if ((flags & MAP_HUGETLB) != 0)
        return "it is hugetlb memory";
    if ((flags & (MAP_GROWSDOWN | MAP_STACK)) != 0)
        return "it is a stack";
    if ((flags & MAP_LOCKED) != 0)
        return "it is locked";
    if ((flags & MAP_32BIT) != 0)
        return "it wants a low address";
    if (protection != read_write)
        return "it is not readable and writable, or executable";
    return nullptr;
}

void* left_alone(managed_space& s, std::size_t bytes, const char* why) noexcept {
    s.counts().add(count::unmanaged);
    if (s.asked().verbose)
        tell("leaves a mapping of %zu bytes alone: %s", bytes, why);
    return nullptr;
}

void told(managed_space& s, std::size_t bytes, void* address) noexcept {
    s.counts().add(count::mappings);
    if (s.asked().verbose)
        tell("manages a mapping of %zu bytes at %p", bytes, address);
}

/// A new mapping, managed; nullptr: it is to be made as usual.
void* managed_mapping(managed_space& s, std::size_t bytes, int protection, int flags) noexcept {
    if (bytes < s.asked().threshold)
        return nullptr;
    if (const char* const why = unfit(protection, flags); why != nullptr)
        return left_alone(s, bytes, why);
    void* const address = s.take(bytes, page);
    if (address == nullptr)
        return left_alone(s, bytes, "there is no room");
    told(s, bytes, address);
    return address;
}

/// Over managed memory: new zeros there, or nothing.
void* map_over_managed(managed_space& s, void* address, std::size_t bytes, int protection,
                       int flags) noexcept {
    const char* const why = unfit(read_write, flags);
    if ((flags & MAP_FIXED_NOREPLACE) == MAP_FIXED_NOREPLACE || why != nullptr ||
        !s.encloses(address, bytes)) {
        s.counts().add(count::refused);
        tell("refuses to map %zu bytes over managed memory at %p: %s", bytes, address,
             why != nullptr ? why : "it is in use");
        errno = (flags & MAP_FIXED_NOREPLACE) == MAP_FIXED_NOREPLACE ? EEXIST : EINVAL;
        return MAP_FAILED;
    }
    s.discard(address, bytes);
    if (protection != read_write)
        s.permissions_changed();
    (void)raw::protect(address, bytes, protection);
    return address;
}

/// At an address of the program's choice: mapped as usual, then taken over.
void* map_fixed(managed_space& s, void* address, std::size_t bytes, int protection, int flags,
                int fd, off_t offset) noexcept {
    if (s.touches(address, bytes))
        return map_over_managed(s, address, bytes, protection, flags);
    void* const mapped = raw::map(address, bytes, protection, flags, fd, offset);
    if (mapped == MAP_FAILED || bytes < s.asked().threshold)
        return mapped;
    if (const char* const why = unfit(protection, flags & ~MAP_POPULATE); why != nullptr)
        (void)left_alone(s, bytes, why);
    else if (!s.adopt(mapped, bytes))
        (void)left_alone(s, bytes, "the library refused it");
    else
        told(s, bytes, mapped);
    return mapped;
}

void* map(void* address, std::size_t bytes, int protection, int flags, int fd,
          off_t offset) noexcept {
    managed_space* const s = the_space();
    if (s == nullptr || bytes == 0 || bytes > PTRDIFF_MAX)
        return raw::map(address, bytes, protection, flags, fd, offset);
    if ((flags & fixed_flags) != 0)
        return map_fixed(*s, address, bytes, protection, flags & ~MAP_POPULATE, fd, offset);
    if (void* const managed = managed_mapping(*s, bytes, protection, flags); managed != nullptr)
        return managed;
    return raw::map(address, bytes, protection, flags, fd, offset);
}

/// Grows where there is room behind, else into a new mapping. nullptr: it may not move.
void* grow(managed_space& s, void* address, std::size_t before, std::size_t after,
           bool may_move) noexcept {
    if (s.extend(address, before, after))
        return address;
    if (!may_move)
        return nullptr;
    void* const other = map(nullptr, after, read_write, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (other == MAP_FAILED)
        return nullptr;
    std::memcpy(other, address, before);
    s.give_back(address, before);
    s.counts().add(count::moved);
    return other;
}

void* remap_managed(managed_space& s, void* address, std::size_t before, std::size_t after,
                    int flags) noexcept {
    if ((flags & ~MREMAP_MAYMOVE) != 0 || before == 0 || after == 0 ||
        !s.encloses(address, before)) {
        s.counts().add(count::refused);
        tell("refuses an mremap with flags %d of managed memory at %p", flags, address);
        errno = EINVAL;
        return MAP_FAILED;
    }
    before = whole_pages(before);
    after = whole_pages(after);
    if (after < before)
        s.give_back(static_cast<std::byte*>(address) + after, before - after);
    if (after <= before)
        return address;
    if (void* const grown = grow(s, address, before, after, (flags & MREMAP_MAYMOVE) != 0);
        grown != nullptr)
        return grown;
    errno = ENOMEM;
    return MAP_FAILED;
}

/// Advice that is true to the program's wish under the library as well.
bool is_passed_on(int advice) noexcept {
    return advice == MADV_DONTFORK || advice == MADV_NOHUGEPAGE || advice == MADV_UNMERGEABLE ||
           advice == MADV_NORMAL;
}

int advise(void* address, std::size_t bytes, int advice) noexcept {
    managed_space* const s = the_space();
    if (s == nullptr || !s->touches(address, bytes))
        return raw::advise(address, bytes, advice);
    // What is freed lazily may come back unseen: it is dropped at once.
    if (advice == MADV_DONTNEED || advice == MADV_FREE) {
        s->counts().add(count::discards);
        return raw::advise(address, bytes, MADV_DONTNEED);
    }
    if (advice == MADV_REMOVE || is_passed_on(advice))
        return raw::advise(address, bytes, advice);
    if (s->counts().add(count::absorbed_advice) == 0 || s->asked().verbose)
        tell("ignores madvise %d on managed memory at %p", advice, address);
    return 0;
}

/// Locked memory cannot be evicted.
bool absorbs_lock(const void* address, std::size_t bytes) noexcept {
    managed_space* const s = the_space();
    if (s == nullptr || !s->touches(address, bytes))
        return false;
    if (s->counts().add(count::absorbed_locks) == 0 || s->asked().verbose)
        tell("does not lock managed memory at %p", address);
    return true;
}

} // namespace

#define INTERCEPTED extern "C" __attribute__((visibility("default")))

// By their symbols: with 64-bit file offsets the header makes mmap another name of mmap64.
INTERCEPTED void* intercepted_mmap(void* address, std::size_t bytes, int protection, int flags,
                                   int fd, off_t offset) noexcept __asm__("mmap");
INTERCEPTED void* intercepted_mmap64(void* address, std::size_t bytes, int protection, int flags,
                                     int fd, off64_t offset) noexcept __asm__("mmap64");

void* intercepted_mmap(void* address, std::size_t bytes, int protection, int flags, int fd,
                       off_t offset) noexcept {
    return map(address, bytes, protection, flags, fd, offset);
}

void* intercepted_mmap64(void* address, std::size_t bytes, int protection, int flags, int fd,
                         off64_t offset) noexcept {
    return map(address, bytes, protection, flags, fd, offset);
}

INTERCEPTED int munmap(void* address, std::size_t bytes) noexcept {
    managed_space* const s = the_space();
    if (s == nullptr || !s->touches(address, bytes))
        return raw::unmap(address, bytes);
    if (!s->encloses(address, bytes) || reinterpret_cast<std::uintptr_t>(address) % page != 0 ||
        bytes == 0) {
        s->counts().add(count::refused);
        tell("refuses to unmap %zu bytes at %p, in part managed", bytes, address);
        return fail(EINVAL);
    }
    s->give_back(address, bytes);
    return 0;
}

INTERCEPTED void* mremap(void* address, std::size_t before, std::size_t after, int flags,
                         ...) noexcept {
    void* target = nullptr;
    if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0) {
        __builtin_va_list arguments;
        __builtin_va_start(arguments, flags);
        target = __builtin_va_arg(arguments, void*);
        __builtin_va_end(arguments);
    }
    managed_space* const s = the_space();
    if (s == nullptr || !(s->touches(address, before) ||
                          ((flags & MREMAP_FIXED) != 0 && s->touches(target, after))))
        return raw::remap(address, before, after, flags, target);
    return remap_managed(*s, address, before, after, flags);
}

INTERCEPTED int madvise(void* address, std::size_t bytes, int advice) noexcept {
    return advise(address, bytes, advice);
}

INTERCEPTED int posix_madvise(void* address, std::size_t bytes, int advice) noexcept {
    if (advice == POSIX_MADV_DONTNEED) // a hint there: contents stay
        return 0;
    return advise(address, bytes, advice) == 0 ? 0 : errno;
}

INTERCEPTED int mprotect(void* address, std::size_t bytes, int protection) noexcept {
    if (managed_space* const s = the_space(); s != nullptr && s->touches(address, bytes))
        s->permissions_changed();
    return raw::protect(address, bytes, protection);
}

INTERCEPTED int mlock(const void* address, std::size_t bytes) noexcept {
    return absorbs_lock(address, bytes) ? 0
                                        : static_cast<int>(::syscall(SYS_mlock, address, bytes));
}

INTERCEPTED int mlock2(const void* address, std::size_t bytes, unsigned flags) noexcept {
    return absorbs_lock(address, bytes)
               ? 0
               : static_cast<int>(::syscall(SYS_mlock2, address, bytes, flags));
}

INTERCEPTED int mlockall(int flags) noexcept {
    managed_space* const s = the_space();
    if (s == nullptr)
        return static_cast<int>(::syscall(SYS_mlockall, flags));
    s->counts().add(count::absorbed_locks);
    tell("ignores mlockall: managed memory cannot be locked");
    return 0;
}
