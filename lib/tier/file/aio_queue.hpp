// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Asynchronous vectored reads and writes on one file. An interface, so that tests can make every
/// I/O short, late, reordered or failed.

#include <cstdint>
#include <memory>
#include <span>

#include <libaio.h>
#include <sys/uio.h>

#include "uffdmm/types.hpp"

namespace uffdmm {

/// One I/O. Owned by the caller, who keeps it, its vectors and their buffers alive and unchanged
/// from submit() until reap() gives it back.
struct io_op {
    bool write = false;
    std::uint64_t offset = 0; ///< in the file, aligned to pages like all buffers and lengths
    std::span<iovec> vectors;
    std::int64_t result = 0; ///< bytes done, which may be fewer than asked for, or -errno
};

/// Owner: a file tier; all calls from its thread.
class aio_queue {
  public:
    aio_queue() = default;
    aio_queue(const aio_queue&) = delete;
    aio_queue& operator=(const aio_queue&) = delete;
    virtual ~aio_queue() = default;

    /// Starts I/Os from the front. Returns how many were started, or -errno if not even the first;
    /// -EAGAIN is worth another try.
    [[nodiscard]] virtual int submit(std::span<io_op* const> ops) noexcept = 0;
    /// Takes finished I/Os out; returns how many. Does not wait. `out` has room for all I/O that is
    /// under way: what did not fit might not be signalled again.
    [[nodiscard]] virtual std::size_t reap(std::span<io_op*> out) noexcept = 0;
    /// Waits until reap() may have something. Only while I/O is under way; not on the fault path.
    virtual void wait() noexcept = 0;
    /// Becomes readable when reap() has something, or after arm().
    [[nodiscard]] virtual int event_fd() const noexcept = 0;
    /// Makes event_fd() readable until the next reap().
    virtual void arm() noexcept = 0;
    /// swap_tier::reachable().
    [[nodiscard]] virtual bool reachable() const noexcept { return true; }
    /// Host memory for buffers of its own. Shard thread.
    [[nodiscard]] virtual byte_count memory_bytes() const noexcept { return 0; }
};

/// What the queue asks of libaio, so that tests can answer instead.
struct aio_calls {
    int (*submit)(io_context_t, long, iocb**) = ::io_submit;
    int (*get_events)(io_context_t, long, long, io_event*, timespec*) = ::io_getevents;
};

/// libaio on `fd`, with at most `depth` I/Os under way. Throws setup_error.
[[nodiscard]] std::unique_ptr<aio_queue> make_linux_aio_queue(int fd, unsigned depth,
                                                              const aio_calls& calls = {});

} // namespace uffdmm
