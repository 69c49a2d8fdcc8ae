// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Memory for requests whose pages lie in several places: NBD sends one buffer a request.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// I/O thread, but for memory_bytes().
class bounce_buffers {
  public:
    static constexpr std::size_t bytes = 64 * page_size;
    static constexpr std::size_t most = 8;

    /// Throws setup_error (no_memory).
    bounce_buffers() : memory_(mapping::on_demand(bytes * most)) {
        for (std::size_t i = 0; i < most; ++i)
            free_[i] = memory_.data() + (most - 1 - i) * bytes;
    }

    /// nullptr if all are in use.
    [[nodiscard]] std::byte* take() noexcept {
        if (left_ == 0)
            return nullptr;
        std::byte* const buffer = free_[--left_];
        if (most - left_ > used_.load(std::memory_order_relaxed))
            used_.store(most - left_, std::memory_order_relaxed);
        return buffer;
    }
    void give_back(std::byte* buffer) noexcept { free_[left_++] = buffer; }

    /// Any thread. Of those that were ever in use at the same time.
    [[nodiscard]] byte_count memory_bytes() const noexcept {
        return used_.load(std::memory_order_relaxed) * bytes; // a figure, orders nothing
    }

  private:
    mapping memory_;
    std::array<std::byte*, most> free_{};
    std::size_t left_ = most;
    std::atomic<std::size_t> used_{0};
};

} // namespace uffdmm
