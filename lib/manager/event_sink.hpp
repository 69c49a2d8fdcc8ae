// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Hands events of all shards to the embedder's handler, one at a time.

#include <utility>

#include "uffdmm/config.hpp"
#include "uffdmm/detail/mutex.hpp"
#include "uffdmm/engine/shard_core.hpp"

namespace uffdmm {

class event_sink final : public shard_observer {
  public:
    explicit event_sink(event_handler handler) : handler_(std::move(handler)) {}

    /// Shard threads. A handler that throws breaks its contract and stops the process.
    void on_event(const event& what) noexcept override {
        if (!handler_)
            return;
        const mutex_lock lock(one_at_a_time_);
        handler_(what);
    }

  private:
    const event_handler handler_;
    mutex one_at_a_time_;
};

} // namespace uffdmm
