// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What compare-load is asked to do.

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "overcommit/access_pattern.hpp"
#include "overcommit/page_contents.hpp"
#include "uffdmm/config.hpp"

namespace load {

enum class memory_side : std::uint8_t {
    kernel, ///< plain anonymous memory: what the kernel does with it is set up outside
    library ///< a region of libuffdmm
};

/// How the first touch of every page looks.
enum class first_touch : std::uint8_t {
    contents, ///< the page is filled
    word,     ///< one word is written
    read      ///< one word is read
};

struct options {
    memory_side side = memory_side::library;
    uffdmm::manager_config manager; ///< library side
    uffdmm::region_config region;
    overcommit::pattern_plan pattern;
    overcommit::fill_plan fill;
    first_touch touch_first = first_touch::contents;
    bool populate_only = false; ///< --pattern populate
    double write_percent = 0;
    unsigned threads = 1;
    std::chrono::nanoseconds warmup{std::chrono::seconds(2)};
    std::chrono::nanoseconds run_time{std::chrono::seconds(3)};
    bool step = false; ///< wait for a line on stdin before each phase and before the end
    bool help = false;
};

/// Throws uffdmm::setup_error naming the option and what is allowed.
[[nodiscard]] options parse_options(std::span<const std::string_view> arguments);
[[nodiscard]] std::string help_text();

} // namespace load
