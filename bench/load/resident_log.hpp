// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The process's resident memory over time, sampled ten times a second by a thread.

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace load {

class resident_log {
  public:
    struct sample {
        double seconds = 0; ///< since construction
        std::uint64_t bytes = 0;
    };

    resident_log();
    ~resident_log();
    resident_log(const resident_log&) = delete;
    resident_log& operator=(const resident_log&) = delete;

    /// The samples since the last call.
    [[nodiscard]] std::vector<sample> take();

  private:
    void work();

    std::mutex mutex_;
    std::condition_variable stopping_;
    bool stop_ = false;
    std::vector<sample> samples_;
    std::thread thread_;
};

} // namespace load
