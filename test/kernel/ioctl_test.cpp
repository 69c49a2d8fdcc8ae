// SPDX-License-Identifier: BSD-3-Clause
/// Every errno, and every shape of partial success, injected at every ioctl.

#include <cerrno>
#include <deque>
#include <functional>
#include <map>

#include "support/kernel_fixture.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

/// An answer of the kernel to one ioctl.
struct answer {
    int rc = 0;
    int os_errno = 0;
    std::int64_t field = 0; ///< what it writes to the result field
};

/// The script that scripted_ioctl() follows. ioctl_function is a plain pointer, so this is global.
struct script {
    unsigned long request = 0; ///< the ioctl that is played; others reach the kernel
    std::deque<answer> answers;
    unsigned calls = 0;
    std::vector<std::uint64_t> lengths; ///< of the played calls
} play;

struct ioctl_shape {
    std::size_t length_offset;
    std::size_t field_offset; ///< 0: it has no result field
};
const std::map<unsigned long, ioctl_shape> shapes{
    {UFFDIO_COPY, {offsetof(uffdio_copy, len), offsetof(uffdio_copy, copy)}},
    {UFFDIO_ZEROPAGE, {8, offsetof(uffdio_zeropage, zeropage)}},
    {UFFDIO_CONTINUE, {8, offsetof(uffdio_continue, mapped)}},
    {UFFDIO_MOVE, {offsetof(uffdio_move, len), offsetof(uffdio_move, move)}},
    {UFFDIO_POISON, {8, offsetof(uffdio_poison, updated)}},
    {UFFDIO_WRITEPROTECT, {8, 0}},
    {UFFDIO_WAKE, {8, 0}},
};

int scripted_ioctl(int fd, unsigned long request, void* argument) noexcept {
    if (request != play.request || play.answers.empty())
        return system_ioctl(fd, request, argument);
    const answer a = play.answers.front();
    if (play.answers.size() > 1) // the last answer is repeated
        play.answers.pop_front();
    ++play.calls;
    const ioctl_shape shape = shapes.at(request);
    std::uint64_t length = 0;
    std::memcpy(&length, static_cast<char*>(argument) + shape.length_offset, sizeof length);
    play.lengths.push_back(length);
    if (shape.field_offset != 0)
        std::memcpy(static_cast<char*>(argument) + shape.field_offset, &a.field, sizeof a.field);
    errno = a.os_errno;
    return a.rc;
}

void start_script(unsigned long request, std::deque<answer> answers) {
    play.request = request;
    play.answers = std::move(answers);
    play.calls = 0;
    play.lengths.clear();
}

/// An operation of the kernel concept whose result is that of one ioctl.
struct operation {
    const char* name;
    unsigned long request;
    protocol memory;
    std::function<kernel_result(world&, page_count)> run;
    std::map<int, kernel_status> differs; ///< from `usual`
};

using ks = kernel_status;
const std::map<int, kernel_status> usual{
    {EAGAIN, ks::again}, {EEXIST, ks::exists},      {ENOENT, ks::gone}, {ESRCH, ks::gone},
    {EBUSY, ks::busy},   {ENOMEM, ks::no_memory},   {EINTR, ks::gone},  {ENOSPC, ks::no_memory},
    {EFAULT, ks::gone},  {EINVAL, ks::unsupported}, {EBADF, ks::gone},
};

const std::vector<std::byte>& source() {
    static const std::vector<std::byte> pages = stamped(8);
    return pages;
}

const std::vector<operation>& operations() {
    static const std::vector<operation> all{
        {"copy_in",
         UFFDIO_COPY,
         protocol::private_move,
         [](world& w, page_count n) { return w.os.copy_in({0}, n, source().data(), false); },
         {{EFAULT, ks::unsupported}}},
        {"copy_in, shared",
         UFFDIO_COPY,
         protocol::shared,
         [](world& w, page_count n) { return w.os.copy_in({0}, n, source().data(), true); },
         {}},
        {"zero_in",
         UFFDIO_ZEROPAGE,
         protocol::private_move,
         [](world& w, page_count n) { return w.os.zero_in({0}, n); },
         {}},
        {"continue_in",
         UFFDIO_CONTINUE,
         protocol::shared,
         [](world& w, page_count n) { return w.os.continue_in({0}, n, true); },
         {{EFAULT, ks::missing}}},
        {"move_in",
         UFFDIO_MOVE,
         protocol::private_move,
         [](world& w, page_count n) { return w.os.move_in({0}, n, {0}); },
         {{ENOENT, ks::missing}, {EFAULT, ks::busy}, {EINVAL, ks::busy}}},
        {"take_out",
         UFFDIO_MOVE,
         protocol::private_move,
         [](world& w, page_count n) { return w.os.take_out({0}, n, {0}); },
         {{EFAULT, ks::busy}, {EINVAL, ks::busy}}},
        {"take_out by copying",
         UFFDIO_WRITEPROTECT,
         protocol::private_copy,
         [](world& w, page_count n) { return w.os.take_out({0}, n, {0}); },
         {}},
        {"take_out, shared",
         UFFDIO_WRITEPROTECT,
         protocol::shared,
         [](world& w, page_count n) { return w.os.take_out({0}, n, {0}); },
         {}},
        {"poison",
         UFFDIO_POISON,
         protocol::private_move,
         [](world& w, page_count n) { return w.os.poison({0}, n); },
         {}},
        {"write_protect",
         UFFDIO_WRITEPROTECT,
         protocol::private_move,
         [](world& w, page_count n) { return w.os.write_protect({0}, n, true); },
         {}},
        {"unprotect",
         UFFDIO_WRITEPROTECT,
         protocol::shared,
         [](world& w, page_count n) { return w.os.write_protect({0}, n, false); },
         {}},
        {"wake",
         UFFDIO_WAKE,
         protocol::private_move,
         [](world& w, page_count n) { return w.os.wake({0}, n); },
         {}},
    };
    return all;
}

kernel_status expected(const operation& op, int os_errno) {
    const auto it = op.differs.find(os_errno);
    return it != op.differs.end() ? it->second : usual.at(os_errno);
}
bool has_field(const operation& op) {
    return shapes.at(op.request).field_offset != 0;
}

linux_kernel_options scripted() {
    linux_kernel_options options;
    options.ioctl = &scripted_ioctl;
    return options;
}

bool can_run(const operation& op) {
    const auto all = protocols();
    return std::find(all.begin(), all.end(), op.memory) != all.end() &&
           (op.request != UFFDIO_POISON || probe().has(UFFD_FEATURE_POISON));
}

template <typename Test>
void for_each_operation(Test&& test) {
    for (const operation& op : operations()) {
        if (!can_run(op))
            continue;
        INFO(op.name);
        play = {};
        world w(op.memory, 8, scripted());
        test(op, w);
        play = {};
    }
}

TEST_CASE("ioctl: every errno gets its meaning, with nothing done", "[kernel]") {
    for_each_operation([](const operation& op, world& w) {
        for (const auto& [os_errno, ignored] : usual) {
            INFO("errno " << os_errno);
            start_script(op.request, {{-1, os_errno, 0}});
            const kernel_result r = op.run(w, 4);
            REQUIRE(r.done == 0);
            REQUIRE(r.status == expected(op, os_errno));
            REQUIRE(r.os_errno == os_errno);
        }
    });
}

TEST_CASE("ioctl: eagain_has_two_encodings: a negative result field is an errno as well",
          "[kernel]") {
    for_each_operation([](const operation& op, world& w) {
        if (!has_field(op))
            return;
        for (const auto& [os_errno, ignored] : usual) {
            INFO("errno " << os_errno);
            for (const answer a : {answer{-1, EAGAIN, -os_errno}, answer{0, 0, -os_errno},
                                   answer{-1, os_errno, -os_errno}}) {
                start_script(op.request, {a});
                const kernel_result r = op.run(w, 4);
                REQUIRE(r.done == 0);
                REQUIRE(r.status == expected(op, os_errno));
            }
        }
    });
}

TEST_CASE("ioctl: eagain_has_two_encodings: a short count is kept, and the rest asked for again",
          "[kernel]") {
    constexpr std::int64_t page = page_size;
    for_each_operation([](const operation& op, world& w) {
        if (!has_field(op))
            return;
        for (const int rc : {-1, 0}) {
            start_script(op.request, {{rc, EAGAIN, 3 * page}, {0, 0, 5 * page}});
            const kernel_result all = op.run(w, 8);
            REQUIRE(all.status == kernel_status::ok);
            REQUIRE(all.done == 8);
            REQUIRE(play.lengths == std::vector<std::uint64_t>{8 * page_size, 5 * page_size});
        }
        for (const auto& [os_errno, ignored] : usual) {
            if (os_errno == (op.request == UFFDIO_MOVE ? EINVAL : ENOENT))
                continue; // tries smaller pieces: see below
            INFO("errno " << os_errno);
            start_script(op.request,
                         {{-1, EAGAIN, 2 * page}, {-1, EAGAIN, page}, {-1, os_errno, 0}});
            const kernel_result r = op.run(w, 8);
            REQUIRE(r.done == 3);
            REQUIRE(r.status == expected(op, os_errno));
            REQUIRE(r.os_errno == os_errno);
            REQUIRE(play.calls == 3);
        }
    });
}

TEST_CASE("ioctl: success without a count means all", "[kernel]") {
    for_each_operation([](const operation& op, world& w) {
        start_script(op.request, {{0, 0, 0}});
        const kernel_result r = op.run(w, 8);
        REQUIRE(r.status == kernel_status::ok);
        REQUIRE(r.done == 8);
    });
}

TEST_CASE("ioctl: counts that make no sense neither loop nor count too much", "[kernel]") {
    for_each_operation([](const operation& op, world& w) {
        if (!has_field(op))
            return;
        start_script(op.request, {{-1, EAGAIN, 100}}); // less than a page
        const kernel_result less = op.run(w, 4);
        REQUIRE(less.done == 0);
        REQUIRE(less.status == kernel_status::again);
        start_script(op.request, {{-1, EAGAIN, 100 * std::int64_t{page_size}}});
        const kernel_result more = op.run(w, 4);
        REQUIRE(more.done == 4);
        REQUIRE(more.status == kernel_status::ok);
    });
}

TEST_CASE("ioctl: a move refused with EINVAL is tried in pieces before it counts as busy",
          "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE), "UFFDIO_MOVE");
    play = {};
    world w(protocol::private_move, 8, scripted());
    const answer no{-1, EINVAL, 0};
    start_script(UFFDIO_MOVE, {no, no, {0, 0, 2 * page_size}, no, {0, 0, page_size}, no});
    const kernel_result r = w.os.take_out({0}, 8, {0});
    REQUIRE(r.done == 3);
    REQUIRE(r.status == kernel_status::busy);
    REQUIRE(play.lengths == std::vector<std::uint64_t>{8 * page_size, 4 * page_size, 2 * page_size,
                                                       2 * page_size, page_size, page_size});
    play = {};
}

TEST_CASE("ioctl: what is refused with ENOENT is tried in pieces before it counts as gone",
          "[kernel]") {
    const answer no{-1, ENOENT, 0};
    for_each_operation([&](const operation& op, world& w) {
        if (!has_field(op) || op.request == UFFDIO_MOVE)
            return;
        start_script(op.request, {no, no, {0, 0, 2 * page_size}, no, no, {0, 0, page_size}, no});
        const kernel_result r = op.run(w, 8);
        REQUIRE(r.done == 3);
        REQUIRE(r.status == kernel_status::gone);
        REQUIRE(play.lengths == std::vector<std::uint64_t>{8 * page_size, 4 * page_size,
                                                           2 * page_size, 6 * page_size,
                                                           3 * page_size, page_size, 5 * page_size,
                                                           2 * page_size, page_size});
    });
}

TEST_CASE("ioctl: pages that left are woken even if unprotecting them must wait", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_WP_HUGETLBFS_SHMEM),
                 "shmem userfaultfd");
    play = {};
    world w(protocol::shared, 8, scripted());
    const auto contents = w.fill(0, 1, true);
    vcpu cpu(w, [&] { store(w.page(0), 7); });
    REQUIRE(w.next_message().what == kernel_message::kind::protect);
    start_script(UFFDIO_WRITEPROTECT, {{0, 0, 0}, {-1, EAGAIN, 0}});
    REQUIRE(w.os.take_out({0}, 1, {0}).done == 1);
    play = {};
    REQUIRE(w.next_message().what == kernel_message::kind::missing);
    REQUIRE(same(w.os.frame({0}), contents.data()));
    REQUIRE(w.os.copy_in({0}, 1, w.os.frame({0}), false).done == 1);
    cpu.join();
}

TEST_CASE("ioctl: fd_recycling: a closed userfaultfd makes no system call", "[kernel]") {
    (void)probe();
    play = {};
    userfaultfd owner(UFFD_FEATURE_PAGEFAULT_FLAG_WP, 0, &scripted_ioctl);
    const int number = owner.fd();
    {
        const userfaultfd gone = std::move(owner);
        REQUIRE(gone.fd() == number);
    }
    const file_descriptor stranger(::dup2(STDERR_FILENO, number)); // takes the number over
    REQUIRE(stranger.get() == number);
    const mapping memory = mapping::anonymous(page_size);
    for (const auto& [request, ignored] : shapes) {
        start_script(request, {{0, 0, 0}});
        for (const kernel_result r :
             {owner.copy(memory.data(), source().data(), 1, false),
              owner.zeropage(memory.data(), 1), owner.resume(memory.data(), 1, false),
              owner.move(memory.data(), source().data(), 1, true), owner.poison(memory.data(), 1),
              owner.write_protect(memory.data(), 1, true), owner.wake(memory.data(), 1),
              owner.unregister_range(memory.data(), page_size)}) {
            REQUIRE(r.status == kernel_status::gone);
            REQUIRE(r.done == 0);
        }
        REQUIRE(play.calls == 0);
    }
    uffd_msg m;
    REQUIRE(owner.read(&m, 1) == 0);
    play = {};
}

int ioctl_without_move(int fd, unsigned long request, void* argument) noexcept {
    const int rc = system_ioctl(fd, request, argument);
    if (request == UFFDIO_API && rc == 0)
        static_cast<uffdio_api*>(argument)->features &=
            ~static_cast<__u64>(UFFD_FEATURE_MOVE | UFFD_FEATURE_POISON);
    return rc;
}

TEST_CASE("ioctl: on a kernel without MOVE and POISON pages leave by copying", "[kernel]") {
    linux_kernel_options options;
    options.ioctl = &ioctl_without_move;
    options.remove_events = true;
    world w(protocol::private_move, 8, options);
    const kernel_traits traits = w.os.traits();
    REQUIRE_FALSE(traits.move);
    REQUIRE_FALSE(traits.poison);
    REQUIRE_FALSE(traits.remove_events); // the shard thread itself has to discard
    const auto contents = w.fill(0, 2);
    REQUIRE(w.os.take_out({0}, 2, {0}).done == 2);
    REQUIRE(same(w.os.frame({0}), contents.data(), 2));
    REQUIRE(w.os.move_in({0}, 1, {0}).status == kernel_status::unsupported);
    REQUIRE(w.os.poison({0}, 1).status == kernel_status::unsupported);
}

int ioctl_without_wp(int fd, unsigned long request, void* argument) noexcept {
    const int rc = system_ioctl(fd, request, argument);
    if (request == UFFDIO_API && rc == 0)
        static_cast<uffdio_api*>(argument)->features &=
            ~static_cast<__u64>(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
    return rc;
}

TEST_CASE("ioctl: a kernel without a needed feature is refused in set-up", "[kernel]") {
    (void)probe();
    guest_memory memory(region_of(protocol::private_move, 8));
    linux_kernel_options options;
    options.ioctl = &ioctl_without_wp;
    try {
        linux_kernel os(memory.slice(0, 8), 8, options);
        FAIL("not refused");
    } catch (const setup_error& e) {
        REQUIRE(e.code() == errc::not_supported);
    }
}

} // namespace
