// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/page_contents.hpp"

#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "overcommit/random.hpp"

namespace overcommit {
namespace {

using uffdmm::page_size;

constexpr std::size_t word_size = sizeof(std::uint64_t);
constexpr std::size_t words_per_page = page_size / word_size;
constexpr std::size_t random_bytes_per_chunk = 64; ///< long enough that LZ4's own cost stays small
constexpr std::size_t most_chunks = 16;
/// What LZ4 spends on a chunk beside its random bytes: token, lengths, offset of the match.
constexpr std::size_t overhead_per_chunk = 5;

std::uint64_t word_at(const std::byte* page, std::size_t word) {
    std::uint64_t value = 0;
    std::memcpy(&value, page + word * word_size, word_size);
    return value;
}

bool is_filled_with(const std::byte* page, std::uint64_t word) {
    std::uint64_t difference = 0;
    for (std::size_t i = 0; i < words_per_page; ++i)
        difference |= word_at(page, i) ^ word;
    return difference == 0;
}

void fill_with(std::byte* page, std::uint64_t word) {
    for (std::size_t i = 0; i < words_per_page; ++i)
        std::memcpy(page + i * word_size, &word, word_size);
}

std::uint64_t checksum_of(const std::byte* page) {
    return XXH3_64bits(page + word_size, page_size - word_size);
}

page_stamp stamp_at(const std::byte* page) {
    page_stamp stamp;
    std::memcpy(&stamp, page, sizeof stamp);
    return stamp;
}

void put_random(std::byte* to, std::size_t bytes, random_source& random) {
    for (; bytes >= word_size; bytes -= word_size, to += word_size) {
        const std::uint64_t word = random.next();
        std::memcpy(to, &word, word_size);
    }
    const std::uint64_t word = random.next();
    std::memcpy(to, &word, bytes);
}

} // namespace

const char* to_string(page_verdict verdict) noexcept {
    switch (verdict) {
    case page_verdict::good:
        return "good";
    case page_verdict::zeros:
        return "zeros instead of its contents";
    case page_verdict::not_zeros:
        return "contents where zeros must be";
    case page_verdict::stale:
        return "another version of the page";
    case page_verdict::foreign:
        return "the contents of another page";
    case page_verdict::wrong_bytes:
        return "wrong bytes";
    }
    return "unknown";
}

page_contents::page_contents(const fill_plan& plan)
    : seed_(plan.seed), same_filled_percent_(plan.same_filled_percent) {
    const double ratio = std::clamp(plan.compressibility, 1.0, most_compressible);
    const auto target = static_cast<std::size_t>(static_cast<double>(page_size) / ratio);
    chunks_ = std::clamp<std::size_t>(target / random_bytes_per_chunk, 1, most_chunks);
    while (page_size % chunks_ != 0)
        --chunks_;
    random_bytes_ = ratio == 1.0 ? page_size : target - chunks_ * overhead_per_chunk;
}

bool page_contents::is_same_filled(std::uint64_t index, std::uint32_t version) const noexcept {
    return same_filled_percent_ != 0 && word_of(index, version) % 100 < same_filled_percent_;
}

std::uint64_t page_contents::word_of(std::uint64_t index, std::uint32_t version) const noexcept {
    const std::uint64_t word = mix(mix(mix(seed_) + index) + version);
    return word == 0 ? 1 : word; // zeros mean a lost page
}

void page_contents::fill(std::byte* page, std::uint64_t index,
                         std::uint32_t version) const noexcept {
    const std::uint64_t word = word_of(index, version);
    if (is_same_filled(index, version))
        return fill_with(page, word);
    random_source random(word);
    const std::size_t chunk = page_size / chunks_;
    const std::size_t random_part = random_bytes_ / chunks_;
    for (std::byte* at = page; at < page + page_size; at += chunk) {
        put_random(at, random_part, random);
        std::memset(at + random_part, static_cast<int>(word & 0xff), chunk - random_part);
    }
    page_stamp stamp{0, seed_, index, version};
    std::memcpy(page, &stamp, sizeof stamp);
    stamp.checksum = checksum_of(page);
    std::memcpy(page, &stamp, sizeof stamp);
}

page_verdict page_contents::verify(const std::byte* page, std::uint64_t index,
                                   std::uint32_t version) const noexcept {
    if (is_same_filled(index, version))
        return is_filled_with(page, word_of(index, version)) ? page_verdict::good
                                                             : blame(page, index, version);
    const page_stamp stamp = stamp_at(page);
    const bool good = stamp.seed == seed_ && stamp.index == index && stamp.version == version &&
                      stamp.checksum == checksum_of(page);
    return good ? page_verdict::good : blame(page, index, version);
}

page_verdict page_contents::verify_zeros(const std::byte* page) noexcept {
    return is_filled_with(page, 0) ? page_verdict::good : page_verdict::not_zeros;
}

page_verdict page_contents::blame(const std::byte* page, std::uint64_t index,
                                  std::uint32_t version) const noexcept {
    if (is_filled_with(page, 0))
        return page_verdict::zeros;
    // A same-filled page names nobody: look whether it is an earlier version of this one.
    for (std::uint32_t older = version; older-- > 0 && version - older < 1000;)
        if (is_same_filled(index, older) && is_filled_with(page, word_of(index, older)))
            return page_verdict::stale;
    const page_stamp stamp = stamp_at(page);
    if (stamp.seed != seed_ || stamp.checksum != checksum_of(page))
        return page_verdict::wrong_bytes;
    return stamp.index == index ? page_verdict::stale : page_verdict::foreign;
}

} // namespace overcommit
