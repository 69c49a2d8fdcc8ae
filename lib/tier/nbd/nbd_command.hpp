// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A request to the server: read, write, trim or flush.
///
///     shard thread ─ nbd_link::submit() ─► I/O thread: waits, sent, sent again ... ─►
///     nbd_requester::ended()

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <sys/uio.h>

#include "uffdmm/executor.hpp"

namespace uffdmm {

class nbd_connection;
class nbd_link;
struct nbd_command;

/// Sends commands and is told how they end. It leaves the link before it goes.
class nbd_requester {
  public:
    /// I/O thread, once per command, which belongs to the requester again.
    virtual void ended(nbd_command& command) noexcept = 0;
    /// I/O thread: commands have ended since the last call, or the link came up or went down.
    virtual void signal() noexcept = 0;

  protected:
    ~nbd_requester() = default;

  private:
    friend class nbd_link;
    // I/O thread only.
    std::uint32_t commands_ = 0; ///< that have not ended
    bool to_signal_ = false;
};

/// Owned by the requester; while the link has it, nobody touches it or its buffers.
struct nbd_command final : message {
    enum class kind : std::uint8_t { read, write, trim, flush };

    kind what = kind::read;
    std::uint64_t offset = 0;       ///< in the export
    std::uint32_t bytes = 0;        ///< those of the vectors
    std::span<const iovec> vectors; ///< none for a trim, nor for a flush
    std::int64_t result = 0;        ///< bytes done, which may be fewer, or -errno
    void* tag = nullptr;            ///< the requester's
    nbd_requester* from = nullptr;
    nbd_link* link = nullptr;
    nbd_command* next = nullptr; ///< list of the link, then of the requester

    // Of the link, while it has the command.
    std::uint64_t asked_ns = 0; ///< when it came
    std::uint64_t sent_ns = 0;
    std::uint32_t sent_bytes = 0;
    nbd_connection* on = nullptr; ///< which has it under way
    std::uint32_t place = 0;      ///< among those
    int answer = 0;               ///< 0 or errno
    bool sent_before = false;     ///< on a connection that was lost before the answer
    std::byte* bounce = nullptr;

    void deliver() noexcept override; ///< I/O thread: the link's mail
};

/// First-in first-out, linked through nbd_command::next.
class nbd_command_list {
  public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
    void push(nbd_command& command) noexcept {
        command.next = nullptr;
        if (head_ == nullptr)
            head_ = &command;
        else
            tail_->next = &command;
        tail_ = &command;
    }
    void push_front(nbd_command& command) noexcept {
        command.next = head_;
        if (head_ == nullptr)
            tail_ = &command;
        head_ = &command;
    }
    /// Not empty.
    nbd_command& pop() noexcept {
        nbd_command& first = *head_;
        head_ = first.next;
        return first;
    }
    /// Takes out what `chosen` says, and hands each to `then`.
    template <typename Chosen, typename Then>
    void take_if(Chosen&& chosen, Then&& then) {
        nbd_command_list all;
        std::swap(all, *this);
        while (!all.empty()) {
            nbd_command& command = all.pop();
            if (chosen(command))
                then(command);
            else
                push(command);
        }
    }

  private:
    nbd_command* head_ = nullptr;
    nbd_command* tail_ = nullptr;
};

} // namespace uffdmm
