// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Gives the storage of free slots back without making the shard thread wait.

#include "tier/file/extent_pool.hpp"

namespace uffdmm {

class trim_listener {
  public:
    /// Shard thread: the slots may be given out again.
    virtual void trim_ended() noexcept = 0;

  protected:
    ~trim_listener() = default;
};

/// Owner: a file tier; all calls from its thread.
class trimmer {
  public:
    trimmer() = default;
    trimmer(const trimmer&) = delete;
    trimmer& operator=(const trimmer&) = delete;
    /// Afterwards no trim is under way and none will start.
    virtual ~trimmer() = default;

    /// From start() until just before trim_ended().
    [[nodiscard]] virtual bool busy() const noexcept = 0;
    /// While not busy(). Nobody uses the slots of `run` before trim_ended().
    virtual void start(slot_run run) noexcept = 0;
};

} // namespace uffdmm
