// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// An aio_queue on memory that does what it is told: late, in another order, in part, or not at
/// all. It moves exactly the bytes it reports, and aborts when the tier breaks the queue's
/// contract.

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "tier/file/aio_queue.hpp"
#include "uffdmm/check.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm::test {

[[nodiscard]] inline std::size_t length_of(const io_op& op) {
    std::size_t n = 0;
    for (const iovec& piece : op.vectors)
        n += piece.iov_len;
    return n;
}

/// What a test turns; shared with the queue, which the tier owns.
struct queue_script {
    /// What an I/O of so many bytes ends with: bytes done, or -errno. Default: all of them.
    std::function<std::int64_t(const io_op&, std::size_t bytes)> outcome;
    /// Answers of the next calls of submit(): -errno or 0, or how many I/Os it may take.
    std::deque<int> submit_answers;
    bool hold = false;              ///< nothing ends
    bool latest_first = false;      ///< what started last ends first
    std::size_t at_most = SIZE_MAX; ///< ends in one reap()

    std::size_t submitted = 0;
    std::size_t under_way = 0;
    std::size_t arms = 0;
    std::vector<std::pair<std::uint64_t, std::size_t>> ios; ///< offset and bytes, in order
    std::unordered_map<std::uint64_t, std::array<std::byte, page_size>> pages; ///< the medium
};

class memory_queue final : public aio_queue {
  public:
    memory_queue(unsigned depth, std::shared_ptr<queue_script> script)
        : depth_(depth), script_(std::move(script)) {}
    ~memory_queue() override { UFFDMM_CHECK(pending_.empty(), "no I/O outlives its queue"); }

    int submit(std::span<io_op* const> ops) noexcept override {
        std::size_t most = depth_ - pending_.size();
        if (!script_->submit_answers.empty()) {
            const int answer = script_->submit_answers.front();
            script_->submit_answers.pop_front();
            if (answer <= 0)
                return answer;
            most = std::min(most, static_cast<std::size_t>(answer));
        }
        const std::size_t n = std::min(most, ops.size());
        for (io_op* op : ops.first(n))
            accept(*op);
        return n == 0 ? -EAGAIN : static_cast<int>(n);
    }
    std::size_t reap(std::span<io_op*> out) noexcept override {
        UFFDMM_CHECK(out.size() >= pending_.size(), "there is room for all I/O under way");
        std::size_t n = 0;
        while (!script_->hold && !pending_.empty() && n < script_->at_most) {
            io_op* op = script_->latest_first ? pending_.back() : pending_.front();
            std::erase(pending_, op);
            finish(*op);
            out[n++] = op;
        }
        script_->under_way = pending_.size();
        return n;
    }
    void wait() noexcept override {
        UFFDMM_CHECK(!pending_.empty(), "only while I/O is under way");
        script_->hold = false;
    }
    int event_fd() const noexcept override { return -1; }
    void arm() noexcept override { ++script_->arms; }

  private:
    void accept(io_op& op) {
        UFFDMM_CHECK(std::find(pending_.begin(), pending_.end(), &op) == pending_.end(),
                     "an I/O is submitted once");
        UFFDMM_CHECK(op.offset % page_size == 0 && length_of(op) % page_size == 0 &&
                         length_of(op) != 0,
                     "I/O is in pages");
        for (const iovec& piece : op.vectors)
            UFFDMM_CHECK(reinterpret_cast<std::uintptr_t>(piece.iov_base) % page_size == 0,
                         "buffers are aligned to pages");
        pending_.push_back(&op);
        ++script_->submitted;
        script_->under_way = pending_.size();
        script_->ios.emplace_back(op.offset, length_of(op));
    }
    void finish(io_op& op) {
        op.result = script_->outcome ? script_->outcome(op, length_of(op))
                                     : static_cast<std::int64_t>(length_of(op));
        auto left = op.result < 0 ? 0 : static_cast<std::size_t>(op.result);
        std::uint64_t offset = op.offset;
        for (const iovec& piece : op.vectors)
            for (std::size_t at = 0; at < piece.iov_len && left != 0; at += page_size) {
                const std::size_t n = std::min(left, page_size);
                std::byte* const buffer = static_cast<std::byte*>(piece.iov_base) + at;
                std::byte* const medium = script_->pages[offset / page_size].data();
                std::memcpy(op.write ? medium : buffer, op.write ? buffer : medium, n);
                left -= n;
                offset += page_size;
            }
    }

    unsigned depth_;
    std::shared_ptr<queue_script> script_;
    std::vector<io_op*> pending_;
};

} // namespace uffdmm::test
