// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The floor: a thread that waits for a fault, reads it, answers it with one ioctl, and does
/// nothing else.

#include <atomic>
#include <thread>

#include "support/bare_uffd.hpp"
#include "support/fault_source.hpp"
#include "support/placement.hpp"

namespace uffdmm::bench {

class bare_faults final : public fault_source {
  public:
    bare_faults(operation what, bool writes, placement where);
    ~bare_faults() override;

    void prepare() override;
    void pause() override;

  private:
    enum class order : int { run, rest, end };

    void loop();
    void spin();
    void sleep();
    void answer(std::byte* page);
    void populate();

    operation what_;
    placement where_;
    bare_memory guest_;
    bare_memory frames_; ///< where pages move out to
    bare_memory source_; ///< one page, to copy from
    bare_uffd guest_uffd_;
    bare_uffd frames_uffd_;
    int stop_fd_;
    std::atomic<order> order_;
    std::thread thread_;
};

} // namespace uffdmm::bench
