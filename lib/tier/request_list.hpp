// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// First-in first-out list of requests, linked through their tier_data: no memory of its own, so
/// any number of requests can wait.

#include <cstddef>

namespace uffdmm {

template <typename Request>
class request_list {
  public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
    [[nodiscard]] Request* front() const noexcept { return head_; }
    [[nodiscard]] static Request* next(const Request& request) noexcept {
        return static_cast<Request*>(request.tier_data);
    }

    void push(Request& request) noexcept {
        request.tier_data = nullptr;
        if (head_ == nullptr)
            head_ = &request;
        else
            tail_->tier_data = &request;
        tail_ = &request;
    }
    /// Not empty.
    Request& pop() noexcept {
        Request& first = *head_;
        head_ = next(first);
        first.tier_data = nullptr;
        return first;
    }

  private:
    Request* head_ = nullptr;
    Request* tail_ = nullptr;
};

} // namespace uffdmm
