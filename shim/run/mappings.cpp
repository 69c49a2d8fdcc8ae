// SPDX-License-Identifier: BSD-3-Clause

/// The intercepted calls about mappings.

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>

#include "run/backing_file.hpp"
#include "run/guest_ram.hpp"
#include "run/inside.hpp"
#include "run/known_mappings.hpp"
#include "run/managed_space.hpp"
#include "run/raw_calls.hpp"
#include "run/recognition.hpp"
#include "run/report.hpp"
#include "run/tell.hpp"

namespace {

using namespace preload;

constexpr int read_write = PROT_READ | PROT_WRITE;
constexpr int fixed_flags = MAP_FIXED | MAP_FIXED_NOREPLACE;

int fail(int error) noexcept {
    errno = error;
    return -1;
}

/// Private memory without a name.
candidate memory_at(const void* address, std::size_t bytes,
                    memory_kind kind = memory_kind::anonymous) noexcept {
    return {kind, "", bytes, address};
}

/// A new mapping, managed; nullptr: it is to be made as usual.
void* managed_mapping(managed_space& s, std::size_t bytes, const char* why) noexcept {
    void* const address = s.take(bytes, page);
    if (address == nullptr)
        report_left(s, memory_at(nullptr, bytes), "there is no room");
    else
        report_taken(s, memory_at(address, bytes), why);
    return address;
}

bool is_private(const mapping_request& asked) noexcept {
    return (asked.flags & (MAP_TYPE | MAP_ANONYMOUS)) == (MAP_PRIVATE | MAP_ANONYMOUS);
}

/// Why managed memory cannot become that; nullptr: it can.
const char* unfit_over_managed(managed_space& s, const mapping_request& asked) noexcept {
    if ((asked.flags & MAP_FIXED_NOREPLACE) == MAP_FIXED_NOREPLACE ||
        !s.encloses(asked.address, asked.bytes))
        return "it is in use";
    return is_private(asked) && !unfit(asked) ? nullptr : "that is not private anonymous memory";
}

/// Over managed memory: new zeros there, or nothing.
void* map_over_managed(managed_space& s, const mapping_request& asked) noexcept {
    if (const char* const why = unfit_over_managed(s, asked); why != nullptr) {
        s.counts().add(count::refused);
        tell("refuses to map %zu bytes over managed memory at %p: %s", asked.bytes, asked.address,
             why);
        errno = (asked.flags & MAP_FIXED_NOREPLACE) == MAP_FIXED_NOREPLACE ? EEXIST : EINVAL;
        return MAP_FAILED;
    }
    s.discard(asked.address, asked.bytes);
    if (asked.protection != read_write)
        s.permissions_changed();
    (void)raw::protect(asked.address, asked.bytes, asked.protection);
    return asked.address;
}

void* map_as_usual(const mapping_request& asked) noexcept {
    return raw::map(asked.address, asked.bytes, asked.protection, asked.flags, asked.fd,
                    asked.offset);
}

/// Private memory where the program put it.
void adopt_mapping(managed_space& s, const candidate& memory, const char* why) noexcept {
    if (s.asked().list || s.adopt(const_cast<void*>(memory.address), memory.bytes))
        report_taken(s, memory, why);
    else
        report_left(s, memory, "the library refused it");
}

void remember(managed_space& s, mapping_request mapped) noexcept {
    mapped.forks = s.forks();
    s.known().remember(mapped);
}

/// A rule takes what could be shared, without the program having said anything.
void take_by_rule(managed_space& s, mapping_request mapped, const char* why) noexcept {
    if (mapped.fd >= 0)
        mapped.fd = ::fcntl(mapped.fd, F_DUPFD_CLOEXEC, 0);
    mapped.forks = s.forks();
    take_over(s, mapped, why);
}

/// A mapping of the program's that exists.
void consider(managed_space& s, const mapping_request& mapped, const judgement& verdict) noexcept {
    std::array<char, 160> name;
    const memory_kind kind = kind_of(mapped, name);
    const candidate memory{kind, name.data(), mapped.bytes, mapped.address};
    switch (verdict.what) {
    case action::take:
        return kind == memory_kind::anonymous ? adopt_mapping(s, memory, verdict.why)
                                              : take_by_rule(s, mapped, verdict.why);
    case action::remember:
        report_known(s, memory, verdict.why);
        return remember(s, mapped);
    case action::leave:
        return report_left(s, memory, verdict.why);
    case action::ignore:
        return report_ignored(s, memory, verdict.why);
    }
}

/// Memory of a managed file is not in the file: a second mapping would show something else. That
/// is so in a child of fork, too.
bool is_second_mapping(const mapping_request& asked) noexcept {
    managed_space* const s = inside ? nullptr : space();
    file_identity file;
    if (s == nullptr || asked.fd < 0 || (asked.flags & MAP_ANONYMOUS) != 0 || !s->has_stand_ins() ||
        !identify(asked.fd, file) || !s->stands_in_for(file))
        return false;
    s->counts().add(count::refused);
    tell("refuses a second mapping, of %zu bytes, of \"%s\", whose contents are managed memory",
         asked.bytes, inspect(asked.fd).name.data());
    return true;
}

void* map_large(managed_space& s, mapping_request asked) noexcept {
    const judgement verdict = judge(s.asked(), asked);
    const bool anywhere = (asked.flags & fixed_flags) == 0;
    const bool will_be_managed = verdict.what == action::take && !s.asked().list;
    if (will_be_managed && anywhere && asked.fd < 0 && is_private(asked))
        if (void* const managed = managed_mapping(s, asked.bytes, verdict.why); managed != nullptr)
            return managed;
    if (will_be_managed || verdict.what == action::remember)
        asked.flags &= ~MAP_POPULATE;
    void* const mapped = map_as_usual(asked);
    if (mapped == MAP_FAILED)
        return mapped;
    asked.address = mapped;
    s.known().forget(mapped, asked.bytes);
    consider(s, asked, verdict);
    return mapped;
}

void* map(void* address, std::size_t bytes, int protection, int flags, int fd,
          off_t offset) noexcept {
    const mapping_request asked{address, bytes, protection, flags, fd, offset};
    managed_space* const s = space_in_use();
    if (is_second_mapping(asked)) {
        errno = EPERM;
        return MAP_FAILED;
    }
    if (s == nullptr || bytes == 0 || bytes > PTRDIFF_MAX)
        return map_as_usual(asked);
    const bool fixed = (flags & fixed_flags) != 0;
    if (fixed && s->touches(address, bytes))
        return map_over_managed(*s, asked);
    if (bytes >= s->smallest() || s->asked().list)
        return map_large(*s, asked);
    if (fixed)
        s->known().forget(address, bytes);
    return map_as_usual(asked);
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
           advice == MADV_NORMAL || advice == MADV_DONTDUMP || advice == MADV_DODUMP;
}

/// Memory that looks shared keeps its contents on DONTNEED, and loses them on REMOVE.
bool discards(managed_space& s, const void* address, int advice) noexcept {
    if (s.looks_shared(address))
        return advice == MADV_REMOVE;
    // What is freed lazily may come back unseen: it is dropped at once.
    return advice == MADV_DONTNEED || advice == MADV_FREE;
}

int advise(void* address, std::size_t bytes, int advice) noexcept {
    managed_space* const s = space_in_use();
    if (s == nullptr)
        return raw::advise(address, bytes, advice);
    if (advice == MADV_DONTFORK)
        if (const auto mapping = s->known().take(address, bytes); mapping)
            take_over(*s, *mapping, "the program keeps it to itself (MADV_DONTFORK)");
    if (!s->touches(address, bytes))
        return raw::advise(address, bytes, advice);
    if (discards(*s, address, advice)) {
        s->counts().add(count::discards);
        return s->drop(address, bytes);
    }
    if (is_passed_on(advice))
        return raw::advise(address, bytes, advice);
    s->counts().add(count::absorbed_advice);
    if (s->absorbed().add(advice) < s->times_told())
        tell("ignores %s (%d) on managed memory at %p", name_of_advice(advice), advice, address);
    return 0;
}

/// Reserved addresses that the program made accessible.
void became_memory(managed_space& s, void* address, std::size_t bytes) noexcept {
    if (bytes < s.smallest() || !s.known().reserved(address, bytes))
        return;
    const candidate memory = memory_at(address, whole_pages(bytes), memory_kind::reserved);
    const judgement verdict = judge(s.asked(), memory.kind, "", memory.bytes);
    if (verdict.what == action::ignore)
        return;
    s.known().forget(address, bytes);
    if (verdict.what == action::take)
        adopt_mapping(s, memory, verdict.why);
    else
        report_left(s, memory, verdict.why);
}

/// Locked memory cannot be evicted.
bool absorbs_lock(const void* address, std::size_t bytes) noexcept {
    managed_space* const s = space_in_use();
    if (s == nullptr || !s->touches(address, bytes))
        return false;
    if (s->counts().add(count::absorbed_locks) < s->times_told())
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
    managed_space* const s = space_in_use();
    if (s != nullptr)
        s->known().forget(address, bytes);
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
    managed_space* const s = space_in_use();
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
    managed_space* const s = space_in_use();
    if (s != nullptr && s->touches(address, bytes))
        s->permissions_changed();
    const int result = raw::protect(address, bytes, protection);
    if (s != nullptr && result == 0 && protection == read_write)
        became_memory(*s, address, bytes);
    return result;
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
    managed_space* const s = space_in_use();
    if (s == nullptr || s->asked().list)
        return static_cast<int>(::syscall(SYS_mlockall, flags));
    s->counts().add(count::absorbed_locks);
    tell("ignores mlockall: managed memory cannot be locked");
    return 0;
}
