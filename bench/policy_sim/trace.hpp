// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Page traces: those of the workloads, mixtures of them, and files of page numbers.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "uffdmm/types.hpp"

namespace policy_sim {

struct trace {
    std::string name;
    uffdmm::page_count pages = 0; ///< page numbers are below
    std::vector<std::uint32_t> touches;
};

struct trace_size {
    uffdmm::page_count pages = 0;
    std::size_t touches = 0;
    std::uint64_t seed = 1;
};

[[nodiscard]] std::span<const std::string_view> trace_names() noexcept;

/// Throws std::invalid_argument, which names what is allowed.
[[nodiscard]] trace make_trace(std::string_view name, const trace_size& size);

/// One page number a line. Throws std::runtime_error, which names the line.
[[nodiscard]] trace read_trace(const std::string& path);

} // namespace policy_sim
