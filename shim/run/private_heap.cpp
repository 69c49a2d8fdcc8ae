// SPDX-License-Identifier: BSD-3-Clause
#include "run/private_heap.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <mutex>

#include <pthread.h>

#include "run/raw_calls.hpp"

namespace preload::private_heap {
namespace {

/// Address space only: a page takes memory when it is used.
constexpr std::size_t reserved_bytes = std::size_t{4} << 30;
constexpr unsigned smallest_class = 6; ///< 64 bytes
constexpr unsigned classes = 33;
/// Free blocks from this size on keep no memory but their first page.
constexpr std::size_t give_back_bytes = std::size_t{1} << 20;

/// In front of every block.
struct header {
    std::uint32_t size_class;
    std::uint32_t unused;
    std::uint64_t start; ///< address of the space of 2^size_class bytes
};
static_assert(sizeof(header) == 16);

struct free_space {
    free_space* next;
};

/// Constructed before any code runs, and never destroyed: malloc is called before and after.
struct lock {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    void acquire() noexcept { ::pthread_mutex_lock(&mutex); }
    void release() noexcept { ::pthread_mutex_unlock(&mutex); }
};
constinit lock heap_lock;
constinit std::atomic<std::uintptr_t> heap_begin{0};
constinit std::uintptr_t heap_next = 0;
constinit std::array<free_space*, classes> free_spaces{};

class locked {
  public:
    locked() noexcept { heap_lock.acquire(); }
    ~locked() { heap_lock.release(); }
    locked(const locked&) = delete;
    locked& operator=(const locked&) = delete;
};

bool reserve() noexcept {
    void* const space = raw::map(nullptr, reserved_bytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space == MAP_FAILED)
        return false;
    heap_next = reinterpret_cast<std::uintptr_t>(space);
    heap_begin.store(heap_next, std::memory_order_release); // pairs with owns()
    return true;
}

std::uintptr_t take_space(unsigned size_class) noexcept {
    const locked hold;
    if (free_space* const space = free_spaces[size_class]; space != nullptr) {
        free_spaces[size_class] = space->next;
        return reinterpret_cast<std::uintptr_t>(space);
    }
    if (heap_begin.load(std::memory_order_relaxed) == 0 && !reserve())
        return 0;
    const std::size_t bytes = std::size_t{1} << size_class;
    const std::uintptr_t end = heap_begin.load(std::memory_order_relaxed) + reserved_bytes;
    if (bytes > end - heap_next)
        return 0;
    const std::uintptr_t space = heap_next;
    heap_next += bytes;
    return space;
}

const header& header_of(const void* block) noexcept {
    return *(static_cast<const header*>(block) - 1);
}

} // namespace

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
    alignment = std::max(alignment, sizeof(header));
    if (bytes > reserved_bytes / 2 || alignment > reserved_bytes / 2)
        return nullptr;
    const std::size_t needed = bytes + alignment + sizeof(header);
    const unsigned size_class =
        std::max(smallest_class, static_cast<unsigned>(std::bit_width(needed - 1)));
    if (size_class >= classes)
        return nullptr;
    const std::uintptr_t start = take_space(size_class);
    if (start == 0)
        return nullptr;
    const std::uintptr_t at = (start + sizeof(header) + alignment - 1) & ~(alignment - 1);
    auto* const head = reinterpret_cast<header*>(at) - 1; // NOLINT(performance-no-int-to-ptr)
    *head = {size_class, 0, start};
    return head + 1;
}

void release(void* block) noexcept {
    const header head = header_of(block);
    auto* const space = reinterpret_cast<free_space*>(head.start); // NOLINT
    if (const std::size_t bytes = std::size_t{1} << head.size_class; bytes >= give_back_bytes) {
        const std::uintptr_t from = (head.start + 4095) & ~std::uintptr_t{4095};
        const std::uintptr_t to = (head.start + bytes) & ~std::uintptr_t{4095};
        (void)raw::advise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED); // NOLINT
    }
    const locked hold;
    space->next = free_spaces[head.size_class];
    free_spaces[head.size_class] = space;
}

bool owns(const void* block) noexcept {
    const std::uintptr_t begin = heap_begin.load(std::memory_order_acquire);
    return begin != 0 && reinterpret_cast<std::uintptr_t>(block) - begin < reserved_bytes;
}

std::size_t usable_bytes(const void* block) noexcept {
    const header& head = header_of(block);
    return head.start + (std::size_t{1} << head.size_class) -
           reinterpret_cast<std::uintptr_t>(block);
}

} // namespace preload::private_heap
