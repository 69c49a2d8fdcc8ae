// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Watches the library from outside while the workload runs: the limit twenty times a second, and a
/// line for the user twice a second.

#include <condition_variable>
#include <cstdio>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "overcommit/limit_promise.hpp"
#include "overcommit/process_memory.hpp"
#include "overcommit/toucher.hpp"
#include "uffdmm/manager.hpp"

namespace overcommit {

/// What the line needs of the workload.
struct progress {
    const char* phase = "";
    std::uint64_t touches = 0;
    uffdmm::histogram_snapshot latency;
};

class monitor {
  public:
    struct targets {
        uffdmm::manager& manager;
        memory_meter& meter;
        const limit_promise& promise;
    };
    /// `line`: where to write the line, or nullptr. `progress_now` is called by its thread.
    monitor(targets watched, std::function<progress()> progress_now, std::FILE* line);
    ~monitor() { stop(); }
    monitor(const monitor&) = delete;
    monitor& operator=(const monitor&) = delete;

    void stop(); ///< after a last look

    // After stop(): largest excess over the limit, 0 if it was kept at every look.
    [[nodiscard]] uffdmm::byte_count own_excess() const noexcept { return own_excess_; }
    [[nodiscard]] uffdmm::byte_count observed_excess() const noexcept { return observed_excess_; }

  private:
    void work();
    void look();
    void print_line();

    targets watched_;
    std::function<progress()> progress_now_;
    std::FILE* line_;
    bool terminal_ = false;
    touch_clock::time_point start_ = touch_clock::now();
    touch_clock::time_point last_line_ = start_;
    uffdmm::stats now_;
    uffdmm::byte_count own_excess_ = 0;      ///< by the library's accounting
    uffdmm::byte_count observed_excess_ = 0; ///< by the kernel's
    std::uint64_t last_faults_ = 0;
    progress last_;
    std::mutex mutex_;
    std::condition_variable stopping_;
    bool stop_ = false;
    std::thread thread_;
};

} // namespace overcommit
