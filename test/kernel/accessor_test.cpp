// SPDX-License-Identifier: BSD-3-Clause
/// The kernel as accessor of guest memory, fork, exit and core dumps.

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>

#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/mapped_area.hpp"
#include "support/kernel_fixture.hpp"
#include "support/tiny_vm.hpp"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace {

using namespace uffdmm;
using namespace uffdmm::test;
using kind = kernel_message::kind;

struct pipe_ends {
    pipe_ends() {
        int fds[2];
        REQUIRE(::pipe(fds) == 0);
        in = file_descriptor(fds[0]);
        out = file_descriptor(fds[1]);
    }
    file_descriptor in;
    file_descriptor out;
};

/// Runs `child` in a forked process; its wait status, or -1 if it hangs (it is killed then).
template <typename Child>
int status_of_child(Child&& child) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        for (int s : {SIGSEGV, SIGBUS, SIGABRT})
            ::signal(s, SIG_DFL);
        const rlimit small_core{1u << 20, 1u << 20};
        ::setrlimit(RLIMIT_CORE, &small_core);
        child();
        ::_exit(0);
    }
    REQUIRE(pid > 0);
    const file_descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    pollfd p{process.get(), POLLIN, 0};
    const bool ended = ::poll(&p, 1, world::patience_ms) == 1;
    if (!ended)
        ::kill(pid, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    return ended ? status : -1;
}

TEST_CASE("accessor: user_mode_only: system calls into absent pages are resolved", "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        pipe_ends pipe;
        const auto contents = w.fill(0, 1);
        REQUIRE(w.os.take_out({0}, 1, {0}).done == 1);
        ssize_t written = 0;
        vcpu sender(w, [&] { written = ::write(pipe.out.get(), w.page(0) + 16, 8); });
        REQUIRE(w.next_message().pages.first == page_index{0});
        REQUIRE(w.os.copy_in({0}, 1, w.os.frame({0}), false).done == 1);
        sender.join();
        REQUIRE(written == 8);
        ssize_t got = 0;
        vcpu receiver(w, [&] { got = ::read(pipe.in.get(), w.page(5), 8); });
        REQUIRE(w.next_message().pages.first == page_index{5});
        REQUIRE(w.os.zero_in({5}, 1).done == 1);
        receiver.join();
        REQUIRE(got == 8);
        REQUIRE(load(w.page(5)) == load(contents.data() + 16));
    }
}

TEST_CASE("accessor: user_mode_only: a system call that writes a protected page waits for us",
          "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        pipe_ends pipe;
        const std::uint64_t word = 0x1122334455667788;
        REQUIRE(::write(pipe.out.get(), &word, sizeof word) == sizeof word);
        (void)w.fill(0, 1, true);
        ssize_t got = 0;
        vcpu receiver(w, [&] { got = ::read(pipe.in.get(), w.page(0), 8); });
        REQUIRE(w.next_message().what == kind::protect);
        REQUIRE(load(w.page(0)) != word);
        REQUIRE(w.os.write_protect({0}, 1, false).done == 1);
        receiver.join();
        REQUIRE(got == 8);
        REQUIRE(load(w.page(0)) == word);
    }
}

TEST_CASE("accessor: sigbus_mode_is_not_for_vms: it is never enabled, and would break read(2)",
          "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_SIGBUS), "UFFD_FEATURE_SIGBUS");
    const userfaultfd ours(UFFD_FEATURE_PAGEFAULT_FLAG_WP, UFFD_FEATURE_THREAD_ID);
    REQUIRE((ours.features() & UFFD_FEATURE_SIGBUS) == 0);
    const mapping memory = mapping::anonymous(page_size);
    userfaultfd sigbus(UFFD_FEATURE_SIGBUS, 0);
    sigbus.register_range(memory.data(), page_size, UFFDIO_REGISTER_MODE_MISSING, 0);
    pipe_ends pipe;
    REQUIRE(::write(pipe.out.get(), "x", 1) == 1);
    REQUIRE(::read(pipe.in.get(), memory.data(), 1) == -1);
    REQUIRE(errno == EFAULT);
}

TEST_CASE("accessor: kvm_async_pf_asks_for_write: a fault that asks for write need not write",
          "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        const auto contents = w.fill(0, 1);
        REQUIRE(w.os.take_out({0}, 1, {0}).done == 1);
        int rc = -1;
        // Faults for write without writing, as KVM does.
        vcpu kvm(w, [&] { rc = ::madvise(w.page(0), page_size, MADV_POPULATE_WRITE); });
        const kernel_message m = w.next_message();
        REQUIRE(m.what == kind::missing);
        REQUIRE(m.write);
        REQUIRE(w.os.copy_in({0}, 1, w.os.frame({0}), true).done == 1); // kept clean all the same
        const kernel_message again = w.next_message();
        REQUIRE(again.what == kind::protect);
        REQUIRE(w.os.write_protect({0}, 1, false).done == 1);
        kvm.join();
        REQUIRE(rc == 0);
        REQUIRE(same(w.page(0), contents.data()));
    }
}

TEST_CASE("accessor: kvm_async_pf_asks_for_write: a KVM guest finds its memory through faults",
          "[kernel]") {
    // mov eax, [0x3000]; mov [0x4000], eax; hlt
    constexpr std::array<unsigned char, 11> code{0xa1, 0x00, 0x30, 0x00, 0x00, 0xa3,
                                                 0x00, 0x40, 0x00, 0x00, 0xf4};
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p, 16);
        std::vector<std::byte> image = stamped(16);
        std::memcpy(image.data() + tiny_vm::entry, code.data(), code.size());
        REQUIRE(w.os.copy_in({0}, 16, image.data(), false).done == 16);
        REQUIRE(w.os.take_out({0}, 16, {0}).done == 16);
        tiny_vm vm(w.memory.data(), w.memory.size());
        UFFDMM_NEEDS(vm.usable(), "KVM");
        std::atomic<bool> halted{false};
        std::uint32_t reason = 0;
        vcpu cpu(w, [&] {
            reason = vm.run();
            halted.store(true, std::memory_order_release);
        });
        // Whatever the guest asks for comes in clean; its one write then asks again.
        pollfd poller{w.os.events_fd(), POLLIN, 0};
        while (!halted.load(std::memory_order_acquire)) {
            kernel_message m[4];
            (void)::poll(&poller, 1, 1);
            for (std::size_t i = 0, n = w.os.read(m); i < n; ++i) {
                const page_index page = m[i].pages.first;
                if (m[i].what == kind::protect)
                    REQUIRE(w.os.write_protect(page, 1, false).done == 1);
                else if (w.os.copy_in(page, 1, w.os.frame({page.value}), true).done == 0)
                    REQUIRE(w.os.wake(page, 1).status == kernel_status::ok);
            }
        }
        cpu.join();
        REQUIRE(reason == KVM_EXIT_HLT);
        REQUIRE(std::memcmp(w.page(4), image.data() + 3 * page_size, 4) == 0);
        REQUIRE(load(w.page(4) + 8) == load(image.data() + 4 * page_size + 8));
        REQUIRE(same(w.page(3), image.data() + 3 * page_size));
    }
}

TEST_CASE("accessor: fork_of_the_vmm: a child has no guest memory, rather than zeros", "[kernel]") {
    for (const protocol p : protocols()) {
        INFO(name_of(p));
        world w(p);
        (void)w.fill(0, 1);
        for (std::uint32_t page : {0u, 9u}) { // there, and absent
            const int status = status_of_child([&] { (void)load(w.page(page)); });
            REQUIRE(WIFSIGNALED(status));
            REQUIRE(WTERMSIG(status) == SIGSEGV);
        }
        const int arena = status_of_child([&] { (void)load(w.os.frame({0})); });
        REQUIRE(WIFSIGNALED(arena));
        REQUIRE_FALSE(w.has_message());
    }
}

TEST_CASE("accessor: fork_of_the_vmm: a child that inherited the descriptors keeps nobody waiting",
          "[kernel]") {
    pipe_ends pipe;
    region_config config = region_of(protocol::private_copy, 8);
    const mapping own = mapping::anonymous(config.size);
    config.address = own.data();
    auto w = std::make_unique<world>(protocol::private_copy, config);
    const pid_t child = ::fork();
    if (child == 0) {
        pipe.out = {};
        char ignored = 0;
        ::_exit(::read(pipe.in.get(), &ignored, 1) == 0 ? 0 : 1); // until the parent closes it
    }
    REQUIRE(child > 0);
    w.reset();
    const bool registered = mapped_areas(own.data(), own.size()).front().has("um");
    pipe.out = {}; // ends the child

    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE_FALSE(registered);
}

/// In a child: guest memory that nobody serves, with a thread waiting for a page of it.
void with_unserved_guest(void (*end)(world&)) {
    world w(protocol::private_copy);
    const auto contents = stamped(1);
    (void)w.os.copy_in({0}, 1, contents.data(), false);
    (void)w.os.take_out({0}, 1, {0});
    std::thread([&w] { (void)load(w.page(3)); }).detach();
    pollfd p{w.os.events_fd(), POLLIN, 0};
    if (::poll(&p, 1, world::patience_ms) != 1)
        ::_exit(99);
    end(w);
    ::_exit(98);
}

TEST_CASE("accessor: process_exit_and_core_dump: a process whose pages are out can end",
          "[kernel]") {
    const int plain = status_of_child([] { with_unserved_guest([](world&) { ::_exit(7); }); });
    REQUIRE(WIFEXITED(plain));
    REQUIRE(WEXITSTATUS(plain) == 7);
    // The kernel itself writes to memory on exit: here to an absent page.
    const int clears = status_of_child([] {
        with_unserved_guest([](world& w) {
            ::syscall(SYS_set_tid_address, w.page(0));
            ::_exit(7);
        });
    });
    REQUIRE(WIFEXITED(clears));
    REQUIRE(WEXITSTATUS(clears) == 7);
}

TEST_CASE("accessor: process_exit_and_core_dump: dumping core does not wait for absent pages",
          "[kernel]") {
    std::array<char, 32> directory{"/tmp/uffdmm-core-XXXXXX"};
    REQUIRE(::mkdtemp(directory.data()) != nullptr);
    const int status = status_of_child([&] {
        if (::chdir(directory.data()) != 0)
            ::_exit(97);
        with_unserved_guest([](world&) { std::abort(); });
    });
    const std::string remove = std::string("rm -rf ") + directory.data();
    REQUIRE(std::system(remove.c_str()) == 0);
    REQUIRE(WIFSIGNALED(status));
    REQUIRE(WTERMSIG(status) == SIGABRT);
}

TEST_CASE("accessor: a process without permission is told what to do about it", "[kernel]") {
    (void)probe();
    UFFDMM_NEEDS(::getuid() == 0, "root, to become nobody");
    const int status = status_of_child([] {
        if (::setresuid(65534, 65534, 65534) != 0)
            ::_exit(97);
        try {
            (void)userfaultfd::available_features();
            ::_exit(77); // everybody may, on this machine
        } catch (const setup_error& e) {
            const std::string what = e.what();
            const bool good = e.code() == errc::permission_denied &&
                              what.find("vm.unprivileged_userfaultfd") != std::string::npos &&
                              what.find("/dev/userfaultfd") != std::string::npos;
            ::_exit(good ? 0 : 1);
        }
    });
    UFFDMM_NEEDS(!(WIFEXITED(status) && WEXITSTATUS(status) == 77), "a restricted userfaultfd");
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) == 0);
}

TEST_CASE("accessor: kernel_features names what was found", "[kernel]") {
    kernel_probe none;
    none.access = errc::permission_denied;
    none.reason = "no";
    REQUIRE(to_string(none) == "no");
    kernel_probe some;
    some.features = UFFD_FEATURE_MOVE | UFFD_FEATURE_PAGEFAULT_FLAG_WP;
    REQUIRE(to_string(some) == "move wp");
    some.process_madvise = true;
    REQUIRE(to_string(some) == "move wp process-madvise");
}

} // namespace
