// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The command line.

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "overcommit/access_pattern.hpp"
#include "overcommit/page_contents.hpp"
#include "uffdmm/config.hpp"

namespace overcommit {

/// Who makes the memory.
enum class memory_owner : std::uint8_t { library, embedder };

/// How the soak declares contents dead.
enum class discard_call : std::uint8_t { api, madvise, both };

struct options {
    uffdmm::manager_config manager; ///< limit, tiers, workers
    uffdmm::region_config region;   ///< size, backing, shards, policy, prefetch
    memory_owner memory = memory_owner::library;

    unsigned threads = 1;
    std::chrono::nanoseconds run_time = std::chrono::seconds(10);
    double write_percent = 30;
    pattern_plan pattern;
    fill_plan fill;

    double discard_percent = 0;
    discard_call discard_by = discard_call::api;
    bool limit_changes = false;

    bool json = false;
    bool quiet = false;
    bool live = false;
    bool help = false;
};

/// Reads the arguments (without the program's name). --config is read first, wherever it stands;
/// every other option then overrides it. Throws uffdmm::setup_error with a message that names the
/// option and what is allowed.
[[nodiscard]] options parse_options(std::span<const std::string_view> arguments);

/// The library's messages name its keys; this puts the option in front that sets the key, if one
/// does.
[[nodiscard]] std::string by_option(std::string_view message);

/// What --help prints.
[[nodiscard]] std::string usage();

} // namespace overcommit
