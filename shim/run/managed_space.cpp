// SPDX-License-Identifier: BSD-3-Clause
#include "run/managed_space.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

#include "run/inside.hpp"
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

class locked {
  public:
    explicit locked(pthread_mutex_t& mutex) noexcept : mutex_(mutex) {
        ::pthread_mutex_lock(&mutex_);
    }
    ~locked() { ::pthread_mutex_unlock(&mutex_); }
    locked(const locked&) = delete;
    locked& operator=(const locked&) = delete;

  private:
    pthread_mutex_t& mutex_;
};

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

managed_space::managed_space(settings asked) : asked_(std::move(asked)) {
    manager_ = std::make_unique<uffdmm::manager>(asked_.config.manager);
    const std::size_t bytes = whole_pages(asked_.config.regions.front().size);
    void* const memory = map_aligned(bytes, chunk);
    if (memory == nullptr)
        throw uffdmm::setup_error(
            uffdmm::errc::no_memory,
            "--area: no address space for " + std::to_string(bytes) + " bytes", errno);
    (void)add_area(memory, bytes, false);
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
managed_space::area* managed_space::add_area(void* address, std::size_t bytes, bool whole) {
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
    const locked hold(changes_);
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

bool managed_space::adopt(void* address, std::size_t bytes) noexcept {
    const inside_scope library;
    bytes = whole_pages(bytes);
    const locked hold(changes_);
    try {
        add_area(address, bytes, true)->used.set(0, bytes / page, true);
        return true;
    } catch (const std::exception& e) {
        tell("the mapping of %zu bytes at %p cannot be managed: %s", bytes, address, e.what());
        return false;
    }
}

void managed_space::discard(void* address, std::size_t bytes) noexcept {
    const inside_scope library;
    const auto from = reinterpret_cast<std::uintptr_t>(address);
    if (area* const a = find(from); a != nullptr)
        if (const auto done = a->managed->discard(from - a->begin.load(), whole_pages(bytes));
            !done)
            tell("%zu bytes at %p could not be discarded: %s", bytes, address,
                 done.failure().operation);
}

/// Discarded first: as long as the pages count as used nobody else gets the addresses.
void managed_space::give_back(void* address, std::size_t bytes) noexcept {
    bytes = whole_pages(bytes);
    discard(address, bytes);
    if (mixed_permissions_.load())
        (void)raw::protect(address, bytes, PROT_READ | PROT_WRITE);
    const inside_scope library;
    const auto from = reinterpret_cast<std::uintptr_t>(address);
    const locked hold(changes_);
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
    const locked hold(changes_);
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
