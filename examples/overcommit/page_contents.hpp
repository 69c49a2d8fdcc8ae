// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What the workload writes into a page, and how it recognises it again.
///
/// A page's contents follow from (seed, index, version) alone. An ordinary page starts with a stamp
/// that names all three, with a checksum over the whole page, and goes on with bytes that compress
/// as asked. A share of the versions is same-filled instead: one word repeated, which can carry no
/// stamp, so that the word is a hash of the three.

#include <cstddef>
#include <cstdint>

#include "uffdmm/types.hpp"

namespace overcommit {

/// Start of an ordinary page.
struct page_stamp {
    std::uint64_t checksum = 0; ///< of every byte after this member
    std::uint64_t seed = 0;
    std::uint64_t index = 0;
    std::uint64_t version = 0;
};

/// How pages are filled; the same for all of them.
struct fill_plan {
    std::uint64_t seed = 1;
    double compressibility = 2.0;     ///< page size / size after LZ4: 1 (random) .. 20
    unsigned same_filled_percent = 0; ///< share of versions that are one repeated word
};
inline constexpr double most_compressible = 20.0;

enum class page_verdict : std::uint8_t {
    good,
    zeros,      ///< all zeros, but it had been written: the worst an engine can do
    not_zeros,  ///< discarded or never written, but not zeros
    stale,      ///< an older version of this page: a write was lost
    foreign,    ///< another page's contents
    wrong_bytes ///< anything else
};
[[nodiscard]] const char* to_string(page_verdict verdict) noexcept;

class page_contents {
  public:
    explicit page_contents(const fill_plan& plan);

    /// Writes all 4096 bytes of version `version` of page `index`.
    void fill(std::byte* page, std::uint64_t index, std::uint32_t version) const noexcept;

    /// Reads all 4096 bytes and says whether they are that version of that page.
    [[nodiscard]] page_verdict verify(const std::byte* page, std::uint64_t index,
                                      std::uint32_t version) const noexcept;

    /// The same for a page that must read as zeros.
    [[nodiscard]] static page_verdict verify_zeros(const std::byte* page) noexcept;

    [[nodiscard]] bool is_same_filled(std::uint64_t index, std::uint32_t version) const noexcept;

  private:
    [[nodiscard]] std::uint64_t word_of(std::uint64_t index, std::uint32_t version) const noexcept;
    [[nodiscard]] page_verdict blame(const std::byte* page, std::uint64_t index,
                                     std::uint32_t version) const noexcept;

    std::uint64_t seed_;
    unsigned same_filled_percent_;
    std::size_t chunks_;       ///< the page is cut into so many equal parts ...
    std::size_t random_bytes_; ///< ... of which so many bytes in all do not compress
};

} // namespace overcommit
