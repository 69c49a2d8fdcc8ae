// SPDX-License-Identifier: BSD-3-Clause
#include "run/page_bitmap.hpp"

#include <algorithm>
#include <bit>

#include "run/raw_calls.hpp"

namespace preload {
namespace {

constexpr std::size_t bits = 64;

std::size_t bytes_for(std::size_t pages) noexcept {
    return (pages + bits - 1) / bits * sizeof(std::uint64_t);
}

} // namespace

bool page_bitmap::create(std::size_t pages) noexcept {
    void* const memory = raw::map(nullptr, bytes_for(pages), PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    words_ = static_cast<std::uint64_t*>(memory);
    pages_ = pages;
    return true;
}

void page_bitmap::destroy() noexcept {
    if (words_ != nullptr)
        (void)raw::unmap(words_, bytes_for(pages_));
    words_ = nullptr;
    pages_ = 0;
}

std::size_t page_bitmap::next_used(std::size_t first, std::size_t end) const noexcept {
    for (std::size_t at = first; at < end; at = (at / bits + 1) * bits)
        if (const std::uint64_t word = words_[at / bits] >> (at % bits); word != 0)
            return std::min(end, at + static_cast<std::size_t>(std::countr_zero(word)));
    return end;
}

std::size_t page_bitmap::find_free(std::size_t count, std::size_t alignment,
                                   std::size_t offset) const noexcept {
    const auto aligned = [&](std::size_t page) {
        return (page + offset + alignment - 1) / alignment * alignment - offset;
    };
    for (std::size_t at = aligned(0); at + count <= pages_;) {
        const std::size_t used = next_used(at, at + count);
        if (used == at + count)
            return at;
        at = aligned(used + 1);
    }
    return none;
}

void page_bitmap::set(std::size_t first, std::size_t count, bool used) noexcept {
    for (std::size_t page = first; page < first + count; ++page) {
        const std::uint64_t bit = std::uint64_t{1} << (page % bits);
        words_[page / bits] = used ? words_[page / bits] | bit : words_[page / bits] & ~bit;
    }
}

bool page_bitmap::is_free(std::size_t first, std::size_t count) const noexcept {
    return first + count <= pages_ && next_used(first, first + count) == first + count;
}

} // namespace preload
