// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// In which order a thread touches the pages.

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

#include "uffdmm/types.hpp"

namespace overcommit {

enum class pattern_kind : std::uint8_t {
    uniform,    ///< every page equally likely
    zipf,       ///< few pages take most touches; hot pages are scattered over the region
    sequential, ///< one page after the other, round and round
    stride,     ///< every n-th page; the next round starts one page further
    scan_zipf,  ///< zipf, and a sequential scan through everything in between
    phases      ///< uniform within a working set that moves every few seconds
};
inline constexpr std::array<std::string_view, 6> pattern_names{"uniform", "zipf",      "sequential",
                                                               "stride",  "scan+zipf", "phases"};

struct pattern_plan {
    pattern_kind kind = pattern_kind::uniform;
    uffdmm::page_count pages = 0;
    std::uint64_t seed = 1;
    std::uint64_t stream = 0;         ///< other random numbers, the same pages hot
    double skew = 0.99;               ///< zipf, scan+zipf
    uffdmm::page_count stride = 16;   ///< stride
    unsigned scan_percent = 25;       ///< scan+zipf: share of touches that belong to the scan
    double working_set_percent = 20;  ///< phases: of the region
    std::chrono::nanoseconds phase{}; ///< phases: how long a working set lasts
};

/// One thread's order. Not shared.
class access_pattern {
  public:
    access_pattern() = default;
    access_pattern(const access_pattern&) = delete;
    access_pattern& operator=(const access_pattern&) = delete;
    virtual ~access_pattern() = default;

    /// `elapsed`: since the run began.
    [[nodiscard]] virtual std::uint64_t next(std::chrono::nanoseconds elapsed) noexcept = 0;
};

/// For thread `thread` of `threads`. Threads differ in their random numbers and in where they
/// start; what is hot is hot for all of them.
[[nodiscard]] std::unique_ptr<access_pattern> make_pattern(const pattern_plan& plan,
                                                           unsigned thread, unsigned threads);

} // namespace overcommit
