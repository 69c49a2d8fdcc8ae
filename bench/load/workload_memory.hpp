// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The memory that both sides of the comparison touch.

#include <memory>
#include <string>

#include "load/options.hpp"
#include "uffdmm/manager.hpp"

namespace load {

class workload_memory {
  public:
    workload_memory() = default;
    workload_memory(const workload_memory&) = delete;
    workload_memory& operator=(const workload_memory&) = delete;
    virtual ~workload_memory() = default;

    [[nodiscard]] virtual std::byte* data() const = 0;
    /// The library's statistics as JSON, or "null".
    [[nodiscard]] virtual std::string statistics() const = 0;
};

/// Throws uffdmm::setup_error.
[[nodiscard]] std::unique_ptr<workload_memory> make_memory(const options& asked);

} // namespace load
