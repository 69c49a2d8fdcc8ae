// SPDX-License-Identifier: BSD-3-Clause
#include "tier/file/aio_queue.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "support/catch.hpp"
#include "tier/file/file_rig.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

bool readable(int fd) {
    pollfd p{fd, POLLIN, 0};
    return ::poll(&p, 1, 0) == 1;
}

/// Answers in place of libaio, and then libaio itself. Static: the calls are plain functions.
struct answers {
    static inline std::deque<int> submit;
    static inline std::deque<int> get_events;
    static inline std::size_t largest_submit = 0;

    static int submit_call(io_context_t context, long n, iocb** list) {
        largest_submit = std::max(largest_submit, static_cast<std::size_t>(n));
        const int answer = next(submit, static_cast<int>(n));
        return answer <= 0 ? answer : ::io_submit(context, answer, list);
    }
    static int get_events_call(io_context_t context, long least, long most, io_event* out,
                               timespec* timeout) {
        const int answer = next(get_events, 1);
        return answer < 0 ? answer : ::io_getevents(context, least, most, out, timeout);
    }
    static int next(std::deque<int>& list, int otherwise) {
        if (list.empty())
            return otherwise;
        const int answer = list.front();
        list.pop_front();
        return answer;
    }
};

/// A file of `pages` pages, as many reads of it, and a queue.
struct reading {
    temporary_directory directory;
    file_descriptor fd;
    mapping buffer;
    std::vector<iovec> vectors;
    std::vector<io_op> ops;
    std::vector<io_op*> list;
    std::unique_ptr<aio_queue> queue;

    reading(std::size_t pages, unsigned depth)
        : fd(::open(directory.file("f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)),
          buffer(mapping::anonymous(pages * page_size)), vectors(pages), ops(pages) {
        answers::submit.clear();
        answers::get_events.clear();
        REQUIRE(::ftruncate(fd.get(), static_cast<off_t>(pages * page_size)) == 0);
        for (std::size_t i = 0; i < pages; ++i) {
            vectors[i] = {buffer.data() + i * page_size, page_size};
            ops[i].offset = i * page_size;
            ops[i].vectors = {&vectors[i], 1};
            list.push_back(&ops[i]);
        }
        queue = make_linux_aio_queue(fd.get(), depth,
                                     {&answers::submit_call, &answers::get_events_call});
    }
    /// Every I/O comes back once, with a page.
    void reap_all(std::size_t wanted) {
        std::vector<io_op*> out(ops.size());
        std::vector<io_op*> seen;
        while (seen.size() < wanted) {
            queue->wait();
            const std::size_t n = queue->reap(out);
            seen.insert(seen.end(), out.begin(), out.begin() + static_cast<std::ptrdiff_t>(n));
        }
        std::sort(seen.begin(), seen.end());
        REQUIRE(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
        for (const io_op* op : seen)
            REQUIRE(op->result == static_cast<std::int64_t>(page_size));
    }
};

TEST_CASE("aio_queue: event_fd is readable once I/O has ended, and not after it was reaped") {
    reading r(100, 128);
    REQUIRE_FALSE(readable(r.queue->event_fd()));
    REQUIRE(r.queue->submit(r.list) == 100);
    r.reap_all(100);
    while (readable(r.queue->event_fd())) { // the last signals may come after their events
        std::vector<io_op*> out(100);
        REQUIRE(r.queue->reap(out) == 0);
    }
}

TEST_CASE("aio_queue: no more I/Os than its depth are started, the rest when some were reaped") {
    reading r(10, 4);
    REQUIRE(r.queue->submit(r.list) == 4);
    REQUIRE(r.queue->submit(std::span(r.list).subspan(4)) == -EAGAIN);
    r.reap_all(4);
    REQUIRE(r.queue->submit(std::span(r.list).subspan(4)) == 4);
    r.reap_all(4);
}

TEST_CASE("aio_queue: what io_submit left out can be submitted again") {
    reading r(8, 8);
    answers::submit = {3, -EAGAIN, 0, -EINVAL};
    REQUIRE(r.queue->submit(r.list) == 3);
    const auto rest = std::span(r.list).subspan(3);
    REQUIRE(r.queue->submit(rest) == -EAGAIN);
    REQUIRE(r.queue->submit(rest) == 0);
    REQUIRE(r.queue->submit(rest) == -EINVAL);
    REQUIRE(r.queue->submit(rest) == 5);
    r.reap_all(8);
}

TEST_CASE("aio_queue: an interrupted or failing io_getevents loses no completion") {
    reading r(100, 100);
    answers::get_events = {-EINTR, -EINTR, 1, -EINTR, 1, -EINVAL};
    REQUIRE(r.queue->submit(r.list) == 100);
    r.reap_all(100);
}

TEST_CASE("aio_queue: arm makes event_fd readable until the next reap") {
    reading r(1, 4);
    std::vector<io_op*> out(4);
    r.queue->arm();
    r.queue->arm();
    REQUIRE(readable(r.queue->event_fd()));
    REQUIRE(r.queue->reap(out) == 0);
    REQUIRE_FALSE(readable(r.queue->event_fd()));
    REQUIRE(r.queue->submit(r.list) == 1);
    r.reap_all(1);
}

TEST_CASE("aio_queue: io_error_on_read of a broken descriptor comes as a result or from submit") {
    reading r(1, 1);
    const file_descriptor write_only(::open(r.directory.file("f").c_str(), O_WRONLY | O_CLOEXEC));
    const auto queue = make_linux_aio_queue(write_only.get(), 1);
    REQUIRE(queue->submit(r.list) == -EBADF);
}

TEST_CASE("aio_queue: a depth beyond fs.aio-max-nr is refused with the key and the remedy") {
    reading r(1, 1);
    try {
        (void)make_linux_aio_queue(r.fd.get(), 1u << 30);
        FAIL("not refused");
    } catch (const setup_error& e) {
        REQUIRE(std::string(e.what()).find("tiers[].queue_depth") != std::string::npos);
    }
}

} // namespace
