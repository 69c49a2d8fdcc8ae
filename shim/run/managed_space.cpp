// SPDX-License-Identifier: BSD-3-Clause
#include "run/managed_space.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

#include "run/inside.hpp"
#include "run/kernel_moves.hpp"
#include "run/pthread_lock.hpp"
#include "run/raw_calls.hpp"
#include "run/tell.hpp"
#include "uffdmm/result.hpp"

namespace preload {
namespace {

/// Allocators ask for aligned chunks, and map and trim where they do not get one.
constexpr std::size_t chunk = std::size_t{2} << 20;

std::size_t natural_alignment(std::size_t bytes, std::size_t alignment) noexcept {
    return std::max({alignment, bytes >= chunk ? chunk : page, page});
}

/// Untouched memory at a multiple of `alignment`.
void* map_aligned(std::size_t bytes, std::size_t alignment) noexcept {
    const std::size_t space = bytes + alignment;
    void* const start = raw::map(nullptr, space, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return nullptr;
    const auto address = reinterpret_cast<std::uintptr_t>(start);
    const std::size_t before = (alignment - address % alignment) % alignment;
    auto* const data = static_cast<std::byte*>(start) + before;
    if (before != 0)
        (void)raw::unmap(start, before);
    (void)raw::unmap(data + bytes, space - before - bytes);
    return data;
}

std::atomic<managed_space*> the_space{nullptr};

} // namespace

managed_space* space() noexcept {
    return the_space.load(std::memory_order_acquire); // pairs with set_space()
}
void set_space(managed_space* s) noexcept {
    the_space.store(s, std::memory_order_release);
}

// ---- start and fork -----------------------------------------------------------------------------

void managed_space::try_out() const {
    uffdmm::manager manager(asked_.config.manager);
    uffdmm::region_config config = asked_.config.regions.front();
    config.size = chunk;
    (void)manager.add_region(config);
}

/// Under the lock.
void managed_space::start() {
    void* const mark =
        raw::map(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mark == MAP_FAILED || raw::advise(mark, page, MADV_WIPEONFORK) != 0)
        throw uffdmm::setup_error(uffdmm::errc::no_memory, "no page that fork wipes", errno);
    manager_ = std::make_unique<uffdmm::manager>(asked_.config.manager);
    (void)kernel_moves_pages(); // asked before a program's allocator has reason to
    auto* const owner = static_cast<std::uint64_t*>(mark);
    *owner = 1;
    owner_.store(owner, std::memory_order_release); // pairs with forgotten()
    if (on_start_ != nullptr)
        on_start_(*this);
}

void managed_space::before_fork() noexcept {
    ::pthread_mutex_lock(&changes_);
    known_.lock();
    given_.lock();
    forks_.fetch_add(1);
}

void managed_space::after_fork() noexcept {
    given_.unlock();
    known_.unlock();
    ::pthread_mutex_unlock(&changes_);
}

uffdmm::stats managed_space::statistics() const {
    if (started())
        return manager_->statistics();
    uffdmm::stats none;
    none.limit_bytes = asked_.config.manager.limit;
    return none;
}

// ---- areas --------------------------------------------------------------------------------------

const managed_space::area* managed_space::find(std::uintptr_t address) const noexcept {
    for (const area& a : areas_)
        if (address < a.end.load(std::memory_order_acquire) &&
            address >= a.begin.load(std::memory_order_relaxed))
            return &a;
    return nullptr;
}

managed_space::area* managed_space::find(std::uintptr_t address) noexcept {
    return const_cast<area*>(std::as_const(*this).find(address));
}

/// Where the next one begins; the end of the address space if there is none.
std::uintptr_t managed_space::next_area(std::uintptr_t after) const noexcept {
    std::uintptr_t next = UINTPTR_MAX;
    for (const area& a : areas_)
        if (a.end.load(std::memory_order_acquire) != 0 && a.begin.load() > after)
            next = std::min(next, a.begin.load());
    return next;
}

bool managed_space::touches(const void* address, std::size_t bytes) const noexcept {
    const auto from = reinterpret_cast<std::uintptr_t>(address);
    return std::any_of(areas_.begin(), areas_.end(), [&](const area& a) {
        return from < a.end.load(std::memory_order_acquire) &&
               from + bytes > a.begin.load(std::memory_order_relaxed);
    });
}

bool managed_space::encloses(const void* address, std::size_t bytes) const noexcept {
    const auto from = reinterpret_cast<std::uintptr_t>(address);
    const area* const a = find(from);
    return a != nullptr && bytes <= a->end.load(std::memory_order_relaxed) - from;
}

/// Under the lock, or before there are other threads.
managed_space::area* managed_space::add_area(void* address, std::size_t bytes, bool whole,
                                             const stand_in& looks) {
    if (manager_ == nullptr)
        start();
    const auto slot =
        std::find_if(areas_.begin(), areas_.end(), [](const area& a) { return a.end.load() == 0; });
    if (slot == areas_.end())
        throw uffdmm::setup_error(uffdmm::errc::full, "too many areas; a larger --area helps");
    uffdmm::region_config config = asked_.config.regions.front();
    config.address = address;
    config.size = bytes;
    if (!slot->used.create(bytes / page))
        throw uffdmm::setup_error(uffdmm::errc::no_memory, "no memory for an area", errno);
    try {
        slot->managed = &manager_->add_region(config);
    } catch (...) {
        slot->used.destroy();
        throw;
    }
    slot->whole = whole;
    slot->looks = looks;
    if (looks.shared && looks.fd >= 0)
        stand_ins_.fetch_add(1);
    const auto begin = reinterpret_cast<std::uintptr_t>(address);
    slot->begin.store(begin, std::memory_order_relaxed);
    slot->end.store(begin + bytes, std::memory_order_release); // pairs with find()
    return &*slot;
}

managed_space::area* managed_space::make_area(std::size_t bytes, std::size_t alignment,
                                              bool whole) noexcept {
    void* const memory = map_aligned(bytes, alignment);
    if (memory == nullptr)
        return nullptr;
    try {
        return add_area(memory, bytes, whole);
    } catch (const std::exception& e) {
        tell("a mapping of %zu bytes cannot be managed: %s", bytes, e.what());
        (void)raw::unmap(memory, bytes);
        return nullptr;
    }
}

/// Its mapping is gone from find() before its addresses are anybody else's.
void managed_space::remove_area(area& gone) noexcept {
    const std::uintptr_t begin = gone.begin.load();
    const std::size_t bytes = gone.end.load() - begin;
    gone.end.store(0);
    (void)manager_->remove_region(*gone.managed, uffdmm::removal::drop);
    gone.used.destroy();
    if (gone.looks.fd >= 0)
        ::close(gone.looks.fd);
    if (gone.looks.shared && gone.looks.fd >= 0)
        stand_ins_.fetch_sub(1);
    gone.looks = {};
    (void)raw::unmap(reinterpret_cast<void*>(begin), bytes); // NOLINT(performance-no-int-to-ptr)
}

// ---- mappings -----------------------------------------------------------------------------------

void* managed_space::carve(area& from, std::size_t bytes, std::size_t alignment) noexcept {
    const std::uintptr_t begin = from.begin.load();
    const std::size_t first =
        from.used.find_free(bytes / page, alignment / page, begin / page % (alignment / page));
    if (first == page_bitmap::none)
        return nullptr;
    from.used.set(first, bytes / page, true);
    return reinterpret_cast<void*>(begin + first * page); // NOLINT(performance-no-int-to-ptr)
}

void* managed_space::take_whole(std::size_t bytes, std::size_t alignment) noexcept {
    area* const own = make_area(bytes, alignment, true);
    return own == nullptr ? nullptr : carve(*own, bytes, page);
}

void* managed_space::take(std::size_t bytes, std::size_t alignment) noexcept {
    const inside_scope library;
    bytes = whole_pages(bytes);
    alignment = natural_alignment(bytes, alignment);
    const pthread_lock hold(changes_);
    for (area& a : areas_)
        if (a.end.load() != 0 && !a.whole)
            if (void* const memory = carve(a, bytes, alignment); memory != nullptr)
                return memory;
    const std::size_t shared = whole_pages(asked_.config.regions.front().size);
    if (bytes > shared / 2)
        return take_whole(bytes, alignment);
    area* const next = make_area(shared, std::max(alignment, chunk), false);
    return next == nullptr ? nullptr : carve(*next, bytes, alignment);
}

bool managed_space::adopt(void* address, std::size_t bytes, const stand_in& looks) noexcept {
    const inside_scope library;
    bytes = whole_pages(bytes);
    const pthread_lock hold(changes_);
    try {
        add_area(address, bytes, true, looks)->used.set(0, bytes / page, true);
        return true;
    } catch (const std::exception& e) {
        tell("the mapping of %zu bytes at %p cannot be managed: %s", bytes, address, e.what());
        return false;
    }
}

bool managed_space::discard(void* address, std::size_t bytes) noexcept {
    const inside_scope library;
    const auto from = reinterpret_cast<std::uintptr_t>(address);
    area* const a = find(from);
    if (a == nullptr)
        return true;
    const auto done = a->managed->discard(from - a->begin.load(), whole_pages(bytes));
    if (!done)
        tell("%zu bytes at %p could not be discarded: %s", bytes, address,
             done.failure().operation);
    return bool{done};
}

/// A kernel that tells of it is asked, which is the shorter way: balloons drop page by page.
int managed_space::drop(void* address, std::size_t bytes) noexcept {
    const auto from = reinterpret_cast<std::uintptr_t>(address);
    if (kernel_moves_pages() || from % page != 0)
        return raw::advise(address, bytes, MADV_DONTNEED);
    const std::uintptr_t end = from + whole_pages(bytes);
    std::uintptr_t next = from;
    for (std::uintptr_t at = from; at < end; at = next) {
        const area* const a = find(at);
        const std::uintptr_t area_end = a == nullptr ? 0 : a->end.load(std::memory_order_acquire);
        const bool managed = area_end > at; // not unmapped meanwhile
        next = std::min(end, managed ? area_end : next_area(at));
        auto* const part = reinterpret_cast<void*>(at);
        if (managed && !discard(part, next - at)) {
            errno = EIO;
            return -1;
        }
        if (!managed && raw::advise(part, next - at, MADV_DONTNEED) != 0)
            return -1;
    }
    return 0;
}

bool managed_space::area::is_of(const file_identity& file) const noexcept {
    return end.load(std::memory_order_acquire) != 0 && looks.fd >= 0 && looks.file == file;
}

off_t managed_space::area::file_end() const noexcept {
    return looks.offset + static_cast<off_t>(end.load() - begin.load());
}

/// A part of a page is overwritten, whole pages are given up.
bool managed_space::discard_file(const file_identity& file, off_t offset,
                                 std::size_t bytes) noexcept {
    bool found = false;
    for (const area& a : areas_) {
        if (!a.is_of(file))
            continue;
        found = true;
        const off_t from = std::max(offset, a.looks.offset);
        const off_t to = std::min(offset + static_cast<off_t>(bytes), a.file_end());
        if (a.looks.shared && from < to)
            zero(a.begin.load() + static_cast<std::uintptr_t>(from - a.looks.offset),
                 a.begin.load() + static_cast<std::uintptr_t>(to - a.looks.offset));
    }
    return found;
}

void managed_space::zero(std::uintptr_t from, std::uintptr_t to) noexcept {
    const std::uintptr_t first = std::min(whole_pages(from), to);
    const std::uintptr_t last = std::max(to / page * page, first);
    const auto at = [](std::uintptr_t address) { return reinterpret_cast<void*>(address); };
    std::memset(at(from), 0, first - from);
    if (first < last)
        (void)drop(at(first), last - first);
    std::memset(at(last), 0, to - last);
}

bool managed_space::manages(const file_identity& file) const noexcept {
    return std::any_of(areas_.begin(), areas_.end(), [&](const area& a) { return a.is_of(file); });
}

bool managed_space::stands_in_for(const file_identity& file) const noexcept {
    return has_stand_ins() && std::any_of(areas_.begin(), areas_.end(), [&](const area& a) {
               return a.is_of(file) && a.looks.shared;
           });
}

int managed_space::descriptor_of(const file_identity& file, int otherwise) const noexcept {
    const auto found =
        std::find_if(areas_.begin(), areas_.end(), [&](const area& a) { return a.is_of(file); });
    return found == areas_.end() ? otherwise : found->looks.fd;
}

off_t managed_space::managed_end(const file_identity& file) const noexcept {
    off_t end = 0;
    for (const area& a : areas_)
        if (a.is_of(file))
            end = std::max(end, a.file_end());
    return end;
}

bool managed_space::looks_shared(const void* address) const noexcept {
    const area* const a = find(reinterpret_cast<std::uintptr_t>(address));
    return a != nullptr && a->looks.shared;
}

uffdmm::region* managed_space::region_at(const void* address, std::size_t bytes) noexcept {
    const auto from = reinterpret_cast<std::uintptr_t>(address);
    area* const a = find(from);
    const bool alone = a != nullptr && a->whole && a->begin.load() == from && bytes % page == 0 &&
                       bytes <= a->end.load() - from;
    return alone ? a->managed : nullptr;
}

std::size_t managed_space::areas_in_use() const noexcept {
    return static_cast<std::size_t>(std::count_if(areas_.begin(), areas_.end(),
                                                  [](const area& a) { return a.end.load() != 0; }));
}

/// Discarded first: as long as the pages count as used nobody else gets the addresses.
void managed_space::give_back(void* address, std::size_t bytes) noexcept {
    bytes = whole_pages(bytes);
    discard(address, bytes);
    if (mixed_permissions_.load())
        (void)raw::protect(address, bytes, PROT_READ | PROT_WRITE);
    const inside_scope library;
    const auto from = reinterpret_cast<std::uintptr_t>(address);
    const pthread_lock hold(changes_);
    area* const a = find(from);
    if (a == nullptr)
        return;
    a->used.set((from - a->begin.load()) / page, bytes / page, false);
    if (a->whole && a->used.empty())
        remove_area(*a);
    else if (a->whole)
        counts_.add(count::parts_unmapped);
}

bool managed_space::extend(void* address, std::size_t before, std::size_t after) noexcept {
    const auto from = reinterpret_cast<std::uintptr_t>(address);
    const pthread_lock hold(changes_);
    area* const a = find(from);
    if (a == nullptr)
        return false;
    const std::size_t first = (from + before - a->begin.load()) / page;
    if (!a->used.is_free(first, (after - before) / page))
        return false;
    a->used.set(first, (after - before) / page, true);
    return true;
}

} // namespace preload
