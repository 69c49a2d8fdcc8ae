// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Moves the limit up and down while the workload runs.

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "overcommit/limit_promise.hpp"
#include "overcommit/random.hpp"
#include "uffdmm/manager.hpp"

namespace overcommit {

/// Works from its construction to stop(), which sets the first limit again.
class limit_mover {
  public:
    limit_mover(uffdmm::manager& manager, limit_promise& promise, std::uint64_t seed);
    ~limit_mover() { stop(); }
    limit_mover(const limit_mover&) = delete;
    limit_mover& operator=(const limit_mover&) = delete;

    void stop();

    // After stop().
    [[nodiscard]] std::uint64_t changes() const noexcept { return changes_; }
    [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }

  private:
    void work();
    void change_to(uffdmm::byte_count limit);

    uffdmm::manager& manager_;
    limit_promise& promise_;
    const uffdmm::byte_count first_limit_;
    random_source random_;
    std::uint64_t changes_ = 0;
    std::uint64_t refused_ = 0;
    std::mutex mutex_;
    std::condition_variable stopping_;
    bool stop_ = false;
    std::thread thread_;
};

} // namespace overcommit
