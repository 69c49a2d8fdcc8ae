// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Writers come and go; once the gate is closed none comes in, and whoever closed it knows when the
/// last has left. A volume is offered behind a closed gate: its next owner may write at once.

#include <atomic>
#include <cstdint>

namespace uffdmm {

/// Any thread.
class write_gate {
  public:
    /// False if the gate is closed; else leave() must follow.
    [[nodiscard]] bool enter() noexcept {
        // seq_cst, with close(): either this sees `closed_`, or that sees this writer.
        writers_.fetch_add(1, std::memory_order_seq_cst);
        if (!closed())
            return true;
        leave();
        return false;
    }
    void leave() noexcept {
        if (writers_.fetch_sub(1, std::memory_order_seq_cst) == 1 && closed())
            writers_.notify_all();
    }
    [[nodiscard]] bool closed() const noexcept { return closed_.load(std::memory_order_seq_cst); }

    /// Waits until no writer is inside.
    void close() noexcept {
        closed_.store(true, std::memory_order_seq_cst);
        for (std::uint32_t n = writers_.load(std::memory_order_seq_cst); n != 0;
             n = writers_.load(std::memory_order_seq_cst))
            writers_.wait(n, std::memory_order_seq_cst);
    }
    /// Without waiting, and for good.
    void shut() noexcept { closed_.store(true, std::memory_order_seq_cst); }
    void open() noexcept { closed_.store(false, std::memory_order_seq_cst); }

  private:
    std::atomic<std::uint32_t> writers_{0};
    std::atomic<bool> closed_{false};
};

} // namespace uffdmm
